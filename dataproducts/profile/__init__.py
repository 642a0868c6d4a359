"""What data looks like: types, figures, patterns, keys and overlaps of any relation; it must not judge it by rules."""
