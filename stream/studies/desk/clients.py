"""Simulated clients: requests that are the same for every policy, and who deals at which quote."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from solver.arrays import FloatArray, IntArray
from solver.market_making.dealer import Dealer


@dataclass(frozen=True, eq=False)
class Requests:
    """Requests for quotes in the order of their arrival, (r,) each.

    `step` is the timestep in which they arrive, `stream` and `size` their indices in the dealer's streams and the
    stream's sizes. A request deals when its `patience` is below the share of clients that deal at the quote.
    """

    step: IntArray
    stream: IntArray
    size: IntArray
    patience: FloatArray


def poisson_requests(rng: np.random.Generator, dealer: Dealer, steps: int) -> Requests:
    """Requests over `steps` timesteps: for each stream and size a Poisson process, and a uniform patience."""
    times, streams, sizes = [], [], []
    for index, stream in enumerate(dealer.streams):
        for size, rate in enumerate(stream.rates):
            count = int(rng.poisson(rate * steps))
            times.append(rng.uniform(0.0, steps, count))
            streams.append(np.full(count, index, dtype=np.int64))
            sizes.append(np.full(count, size, dtype=np.int64))
    time = np.concatenate(times)
    order = np.argsort(time, kind="stable")
    return Requests(
        step=time[order].astype(np.int64),
        stream=np.concatenate(streams)[order],
        size=np.concatenate(sizes)[order],
        patience=rng.uniform(size=len(order)),
    )
