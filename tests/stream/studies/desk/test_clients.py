"""Simulated requests: their counts, their order, their seed."""

from __future__ import annotations

import numpy as np

from stream.studies.desk.clients import poisson_requests
from stream.studies.desk.universe import SIMULATED


def test_counts_are_those_of_the_rates() -> None:
    """Over 20,000 timesteps each stream and size has its rate's count, within five standard deviations of a Poisson."""
    dealer, steps = SIMULATED.dealer(np.eye(6), 1.0), 20_000
    requests = poisson_requests(np.random.default_rng(1), dealer, steps)
    for place, stream in enumerate(dealer.streams):
        counts = np.bincount(requests.size[requests.stream == place], minlength=len(stream.sizes))
        expected = stream.rates * steps
        assert (np.abs(counts - expected) <= 5 * np.sqrt(expected)).all()


def test_requests_come_in_order_with_uniform_patience() -> None:
    """Sorted by timestep, all within the run; patience fills (0, 1) evenly; one seed gives the same requests."""
    dealer = SIMULATED.dealer(np.eye(6), 1.0)
    one, two = (poisson_requests(np.random.default_rng(2), dealer, 500) for _ in range(2))
    assert (np.diff(one.step) >= 0).all()
    assert one.step.min() >= 0
    assert one.step.max() < 500
    # The largest gap between the sorted and the even, Kolmogorov's: 2.2 / sqrt(n) is a chance of one in 8,000.
    gap = np.abs(np.sort(one.patience) - (np.arange(len(one.patience)) + 0.5) / len(one.patience)).max()
    assert gap < 2.2 / np.sqrt(len(one.patience))
    for name in ("step", "stream", "size", "patience"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
