"""Packing: whole lots of β vectors taken out of a book, so that what stays is really unhedged.

One problem (`problem.PackingProblem`), one result (`result.Packing`) and several methods (`methods`). Every method
prefers the lowest objective key (`solver.objective.objective_key`), then the fewest lots ``sum(|omega|)``, then the
lexicographically smallest multiples. Keys are compared at 40 bits, which makes ties of what only rounding tells apart
and, unlike a tolerance, is an order.

What the methods share lies by subject: `boxes` for every objective, `quadratic`, `volume` and `determinant` for one
each, and `lattice` for the enumerations of the last three.
"""
