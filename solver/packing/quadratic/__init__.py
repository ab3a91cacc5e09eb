"""The variance with bounds and costs: its relaxation, and the branch and bound over it."""
