"""The solver: what is refused, with the key, what was expected and what was found."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "lot_notional = 1_000_000.0",
            "lot_notional = 0.0",
            "solver.lot_notional must be > 0, got 0.0",
        ),
        (
            "lot_notional = 1_000_000.0",
            "lot_notional = 1.0\nmax_packing_nodes = 0",
            "solver.max_packing_nodes must be > 0, got 0",
        ),
        (
            "lot_notional = 1_000_000.0",
            "lot_notional = 1.0\nmax_timestep_nodes = 0",
            "solver.max_timestep_nodes must be > 0, got 0",
        ),
        (
            "lot_notional = 1_000_000.0",
            "lot_notional = 1.0\nthreads = 0",
            "solver.threads must be > 0, got 0",
        ),
        (
            "lot_notional = 1_000_000.0",
            "lot_notional = 1.0\nmax_hedge_nodes = 0",
            "solver.max_hedge_nodes must be > 0, got 0",
        ),
        (
            "lot_notional = 1_000_000.0",
            "lot_notional = 1.0\nhedge_cost_resolution = -1.0",
            "solver.hedge_cost_resolution must be >= 0, got -1.0",
        ),
        (
            "lot_notional = 1_000_000.0",
            "lot_notional = 1.0\ndeadline_ms = 0.0",
            "solver.deadline_ms must be > 0, got 0.0",
        ),
    ],
)
def test_what_types_cannot_say_is_refused(refusal: Callable[[str, str], str], old: str, new: str, message: str) -> None:
    """Each range and each rule between keys is checked at start, and the message says what to write instead."""
    assert refusal(old, new) == message
