"""How tables are made: SQL and Python, what they read, what their columns come from; it must not judge rows."""
