"""The lifecycle of products: its steps, what guards them, what they change; it must not know Dagster or who is told."""
