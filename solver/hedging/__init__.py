"""The cheapest whole-lot trades that bring a position back to its target risk.

`cost` says what lots cost and `problem` what is asked; `merged` takes instruments of the same legs as one, `terms`
puts it into the kernels' units, `bound` says what no hedge can cost less than, `descent` finds good lots, `search` the
best ones, in small boxes through `lines`. `solve` puts them together, `runner_up` finds the best alternative,
`frontier` the hedges of every target, and `check` judges each answer from scratch.
"""
