"""What changed between two states of a project's declarations, and what that means to who relies on them."""
