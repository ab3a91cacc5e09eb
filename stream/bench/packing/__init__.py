"""How fast and how good packings are."""
