"""How books are packed and hedged."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

#: What a packing makes least.
PackingObjective: TypeAlias = Literal["volume", "variance", "horizon", "determinant"]


class SolverConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How books are packed and hedged.

    `objective` "horizon" is "variance" under the covariance over `risk.horizon_steps`. β vectors are packed in lots of
    `lot_notional` on their leading leg. Effort is counted in nodes, so that the result does not depend on the
    machine's speed; `deadline_ms` only stops a solve that takes too long, and its result says so. The books of one
    timestep share `max_timestep_nodes` in equal parts, each at most `max_packing_nodes`. `threads` pack them; no
    result depends on it. Hedges whose expected costs differ by no more than `hedge_cost_resolution`, in the numeraire,
    count as equally cheap: no quote is known any better, and telling them apart takes most of a search.
    """

    lot_notional: float
    objective: PackingObjective = "volume"
    mode: Literal["inside", "free"] = "inside"
    max_packing_nodes: int = 20_000
    max_timestep_nodes: int = 250_000
    max_hedge_nodes: int = 2_000
    hedge_cost_resolution: float = 0.01
    deadline_ms: float = 50.0
    threads: int = 2

    @property
    def minimised(self) -> Literal["volume", "variance", "determinant"]:
        """The solver's objective, whichever covariance it is taken under."""
        return "variance" if self.objective == "horizon" else self.objective
