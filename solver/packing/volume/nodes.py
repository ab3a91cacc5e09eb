"""Open nodes of the volume's search, and the room to bound one: all in arrays that are made once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.kernels.compiled import compiled

# Nodes that bounding one box counts as: some 8 µs at a dozen assets and twenty items, where a candidate takes 0.1 µs.
# Less than that ratio, so that a budget of nodes is about the same time as for the other objectives.
BOX_NODES = 8


class Nodes(NamedTuple):
    """Open nodes in a heap by bound, and what bounding one needs."""

    x_low: FloatArray  # (capacity, n) residuals
    x_high: FloatArray  # (capacity, n)
    low: IntArray  # (capacity, K) multiples
    high: IntArray  # (capacity, K)
    bound: FloatArray  # (capacity,)
    solution: FloatArray  # (capacity, n + K) where the linear programme was left: residuals, multiples
    heap: IntArray  # (capacity,) open nodes, least bound on top
    free: IntArray  # (capacity,) slots in use by none
    tally: IntArray  # (3,) nodes in `heap`, slots in `free`, boxes bounded
    branch: IntArray  # (capacity,) asset i, or n + item k, to branch on; -1 for none
    tableau: FloatArray  # (n, n + K) inverse basis times [I, B]
    basis: IntArray  # (n,) variable of each row
    row_of: IntArray  # (n + K,) row of a basic variable; of others, AT_LOWER or AT_UPPER
    P: FloatArray  # (n, n)
    row: FloatArray  # (n,)
    order: IntArray  # (n,) of the assets in step 1
    weight: FloatArray  # (n,) P_ii of step 1
    cost: FloatArray  # (n + K,)
    reduced: FloatArray  # (n + K,)
    point: FloatArray  # (n + K,)
    multiplier: FloatArray  # (n,)
    least: FloatArray  # (n,) each a_i of step 1
    at_low: FloatArray  # (n,) h_i at the low end of the residual's range
    at_high: FloatArray  # (n,) and at the high end
    price: FloatArray  # (K,) of each item at the multipliers
    lowest: FloatArray  # (n,) the minimum of each h_i(x_i) - multiplier_i · x_i
    weighed: FloatArray  # (n + K,) right-hand side less what is not basic, by column
    relaxed: FloatArray  # (1,) the Lagrangian of what the gap left of the box
    trial: IntArray  # (K,) of `solver.packing.volume.ball`, as all that follows
    free_items: IntArray  # (K,)
    cursor: IntArray  # (2,)
    largest: FloatArray  # (n,)
    room: FloatArray  # a ball and its lattice


@compiled
def new_nodes(items: int, assets: int, capacity: int) -> Nodes:
    """Room for `capacity` open nodes; `open_root` puts the first one in."""
    columns = assets + items
    return Nodes(
        x_low=np.empty((capacity, assets)),
        x_high=np.empty((capacity, assets)),
        low=np.empty((capacity, items), dtype=np.int64),
        high=np.empty((capacity, items), dtype=np.int64),
        bound=np.empty(capacity),
        solution=np.empty((capacity, columns)),
        heap=np.empty(capacity, dtype=np.int64),
        free=np.empty(capacity, dtype=np.int64),
        tally=np.zeros(3, dtype=np.int64),
        branch=np.empty(capacity, dtype=np.int64),
        tableau=np.empty((assets, columns)),
        basis=np.empty(assets, dtype=np.int64),
        row_of=np.empty(columns, dtype=np.int64),
        P=np.empty((assets, assets)),
        row=np.empty(assets),
        order=np.empty(assets, dtype=np.int64),
        weight=np.empty(assets),
        cost=np.zeros(columns),
        reduced=np.zeros(columns),
        point=np.zeros(columns),
        multiplier=np.zeros(assets),
        least=np.zeros(assets),
        at_low=np.empty(assets),
        at_high=np.empty(assets),
        price=np.empty(items),
        lowest=np.empty(assets),
        weighed=np.empty(columns),
        relaxed=np.zeros(1),
        trial=np.zeros(items, dtype=np.int64),
        free_items=np.empty(items, dtype=np.int64),
        cursor=np.empty(2, dtype=np.int64),
        largest=np.empty(assets),
        # A ball's two matrices, three rows of items and one of assets; then its lattice: the basis, three tables by
        # form, four rows of forms, seven of items and one number.
        room=np.empty(3 * items * items + 3 * items * columns + 4 * columns + 10 * items + assets + 1),
    )
