"""Packing: whole lots of β vectors taken out of a book, so that what stays is really unhedged.

One problem (`solver.packing.problem.PackingProblem`), one result (`Packing`) and several methods. Every method prefers
the lowest objective key (`solver.objective.objective_key`), then the fewest lots ``sum(|omega|)``, then the
lexicographically smallest multiples. Keys are compared at 40 bits, which makes ties of what only rounding tells apart
and, unlike a tolerance, is an order.
"""
