"""How products are doing: one score with its parts, the facts behind it, and pages that show them."""
