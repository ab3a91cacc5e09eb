"""Finding combinations of log prices that mean-revert.

`vector` holds the types and `error_correction` the regression that the rooms share. `methods` propose vectors,
`evidence` measures and selects them, `refits` does both on a sliding window, `live` watches the vectors in use.
"""
