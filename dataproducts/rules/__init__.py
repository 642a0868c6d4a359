"""Rules as SQL: what each counts, one scan for many, rows set aside, samples masked; it must not publish."""
