"""Service-level objectives: what was attained, what is left of error budgets, and what a spent one does."""
