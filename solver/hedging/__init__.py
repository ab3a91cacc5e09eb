"""The cheapest whole-lot trades that bring a position back to its target risk.

- `problem` says what is asked, and `cost` what lots cost.
- `merged` groups instruments of the same legs, and `terms` puts the problem into the units of the kernels.
- `bound` is a lower bound of the cost; `descent` finds good lots; `search` finds the best ones, in small boxes by
  `lines`.
- `solve` puts these together, and `check` checks each answer from scratch.
- `runner_up` finds the best alternative, and `frontier` the hedges of every target.
"""
