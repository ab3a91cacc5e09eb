"""Boxes of multiples, whatever the objective: what the position leaves of one, and the depth-first search over them."""
