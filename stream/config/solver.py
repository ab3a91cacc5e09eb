"""[solver]: how books are packed and hedged."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from stream.config.checks import ABOVE_ZERO, at_least

#: What a packing minimises.
PackingObjective: TypeAlias = Literal["volume", "variance", "horizon", "determinant"]


class SolverConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How books are packed and hedged.

    Effort is counted in nodes of the search, so that results do not depend on the machine's speed. Only `deadline_ms`
    is a time: it stops a solve that takes too long, and the result says so.

    Hedges whose expected costs differ by no more than `hedge_cost_resolution` count as equally cheap. No quote is known
    any better, and telling such hedges apart takes most of a search.
    """

    lot_notional: Annotated[
        float,
        Meta(description="Size of one lot of a β vector: the notional of its leading leg, in the numeraire."),
        ABOVE_ZERO,
    ]
    objective: Annotated[
        PackingObjective,
        Meta(
            description="What a packing minimises. `volume` credits no offset between positions that no β vector "
            "justifies. `variance` is over one timestep, `horizon` the variance over "
            "`risk.horizon_steps`. `determinant` is the literal determinant."
        ),
    ] = "volume"
    mode: Annotated[
        Literal["inside", "free"],
        Meta(
            description="`inside`: no leg of what is packed exceeds the held position or changes its sign. `free`: "
            "no such bound."
        ),
    ] = "inside"
    max_packing_nodes: Annotated[
        int, Meta(description="Largest number of search nodes for one packing."), ABOVE_ZERO
    ] = 20_000
    max_timestep_nodes: Annotated[
        int,
        Meta(
            description="Largest number of search nodes for packing all books at the close of a timestep. The books "
            "share them equally. Each takes at most `max_packing_nodes`."
        ),
        ABOVE_ZERO,
    ] = 250_000
    max_hedge_nodes: Annotated[
        int,
        Meta(description="Largest number of search nodes for one hedge. The runner-up has as many of its own."),
        ABOVE_ZERO,
    ] = 2_000
    hedge_cost_resolution: Annotated[
        float,
        Meta(description="Hedges whose costs differ by no more than this, in the numeraire, count as equally cheap."),
        at_least(0),
    ] = 0.01
    deadline_ms: Annotated[
        float,
        Meta(description="Wall-clock time after which a solve is stopped. Its result says so."),
        ABOVE_ZERO,
    ] = 50.0
    threads: Annotated[
        int,
        Meta(description="Threads that pack the books of a timestep. No result depends on their number."),
        ABOVE_ZERO,
    ] = 2

    @property
    def minimised(self) -> Literal["volume", "variance", "determinant"]:
        """The solver's name of the objective: `horizon` is a variance too, under another covariance."""
        return "variance" if self.objective == "horizon" else self.objective
