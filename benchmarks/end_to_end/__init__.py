"""The same SQL and the same forty checks through whole tools, side by side: `python -m benchmarks.end_to_end`."""
