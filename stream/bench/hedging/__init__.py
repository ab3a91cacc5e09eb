"""How fast and how good hedges are."""
