"""The objective `volume` without costs: its local search, its bounds, and the best-first search over boxes."""
