"""Boxes of multiples, for every objective: how the position tightens them, and the depth-first search over them."""
