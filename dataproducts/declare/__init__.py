"""What files declare, read and judged: YAML, the standards, references, clauses; it must not know how anything runs."""
