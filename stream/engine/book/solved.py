"""What the solve of one book found. All rules read this; the messages are built from it at the end."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from schemas.outbound import BookStatus, LimitOn
from solver.arrays import FloatArray
from solver.packing.result import Packing
from stream.config import BookConfig
from stream.engine.book.prepared import PreparedModel

UnsolvedStatus: TypeAlias = Literal["unpriced", "no-model", "unsolved"]


@dataclass(frozen=True)
class Trigger:
    """Why a book is solved: the close of a timestep, a position, a report of a trade, or a question.

    `source` names the record, or the hypothetical trade.
    """

    kind: Literal["timestep", "position", "hedge-status", "what-if"]
    event_time_ns: int
    source: str


@dataclass(frozen=True)
class Occasion:
    """One solve of one book: on which model and why. The ids of its messages follow from it."""

    book: BookConfig
    timestep: int
    model_version: int
    trigger: Trigger

    def id_of(self, kind: Literal["residual", "hedge", "quote", "frontier"]) -> str:
        """The id of the message of this `kind`."""
        return f"{kind}/{self.book.name}/{self.timestep}/{self.model_version}/{self.trigger.source}"


class Risks(NamedTuple):
    """Standard deviations under one covariance, in the numeraire.

    `netted` is the risk of all that a book holds, `basis` that of the packed part. `unhedged` counts against the limit.
    """

    netted: float
    basis: float
    unhedged: float


@dataclass(frozen=True, eq=False)
class SolvedBook:
    """A book with figures.

    Attributes
    ----------
    occasion : the solve.
    Q : (n,) exposures, trades in flight included; numeraire.
    in_flight : (n,) the part of `Q` that is in flight; numeraire.
    packing : of `Q` under `model`.
    model : the covariances and the β in use.
    over_timestep : risks over one timestep.
    over_horizon : risks over `risk.horizon_steps` timesteps.
    incomplete : why positions may be missing, in words; each is one of the book's doubts.
    suspect_assets : assets that it holds and whose latest quotes are not believed.
    """

    occasion: Occasion
    Q: FloatArray
    in_flight: FloatArray
    packing: Packing
    model: PreparedModel
    over_timestep: Risks
    over_horizon: Risks
    incomplete: tuple[str, ...] = ()
    suspect_assets: tuple[str, ...] = ()

    @property
    def status(self) -> BookStatus:
        """How far the figures can be trusted."""
        return "incomplete" if self.incomplete else "suspect" if self.suspect_assets else "ok"

    @property
    def detail(self) -> str:
        """Why the figures are marked, in words; empty where they are not."""
        reasons = list(self.incomplete)
        if self.suspect_assets:
            reasons.append(f"the latest quotes of {', '.join(self.suspect_assets)} are not believed")
        return "; ".join(reasons)

    @property
    def limit_risk(self) -> float:
        """The unhedged risk that is compared with the limit, numeraire."""
        return self._limit_risks.unhedged

    @property
    def limit_share(self) -> float | None:
        """`limit_risk` as a share of the limit; None where positions may be missing, for then nobody knows it."""
        return None if self.incomplete else self.limit_risk / self.occasion.book.limit

    @property
    def basis_variance(self) -> float:
        """What the unhedged variance has on top of the netted one, >= 0, numeraire²: no trade changes it."""
        return max(self.limit_risk**2 - self._limit_risks.netted**2, 0.0)

    @property
    def _limit_risks(self) -> Risks:
        """The risks over the time that the book's limit is for."""
        return self.over_horizon if self.occasion.book.limit_on == "horizon" else self.over_timestep


@dataclass(frozen=True)
class UnsolvedBook:
    """A book without figures, and why. `unpriced_assets` are the assets that it holds and that have no fresh price."""

    occasion: Occasion
    status: UnsolvedStatus
    detail: str
    unpriced_assets: tuple[str, ...] = ()


def risk_name(limit_on: LimitOn, horizon_steps: int) -> str:
    """The name of the risk that is compared with the limit."""
    return f"unhedged risk over {horizon_steps} steps" if limit_on == "horizon" else "unhedged risk"


def solved_book(
    occasion: Occasion,
    Q: FloatArray,
    in_flight: FloatArray,
    packing: Packing,
    model: PreparedModel,
    incomplete: tuple[str, ...] = (),
    suspect_assets: tuple[str, ...] = (),
) -> SolvedBook:
    """The book of `packing` with its risks.

    Parameters
    ----------
    occasion : the solve.
    Q : (n,) exposures, trades in flight included; numeraire.
    in_flight : (n,) the part of `Q` that is in flight; numeraire.
    packing : of `Q` under `model`.
    model : covariances (n, n) over one timestep and over the horizon.
    incomplete, suspect_assets : what marks the figures, see `SolvedBook`.
    """
    packed = Q - packing.residual
    return SolvedBook(
        occasion=occasion,
        Q=Q,
        in_flight=in_flight,
        packing=packing,
        model=model,
        over_timestep=_risks(Q, packed, packing.residual, model.Sigma),
        over_horizon=_risks(Q, packed, packing.residual, model.Sigma_H),
        incomplete=incomplete,
        suspect_assets=suspect_assets,
    )


def _risks(Q: FloatArray, packed: FloatArray, residual: FloatArray, Sigma: FloatArray) -> Risks:
    netted, basis = _variance_of(Q, Sigma), _variance_of(packed, Sigma)
    # Q'ΣQ = q'Σq + p'Σp + 2 q'Σp. A negative last term is an offset between residual and packed part that no β
    # justifies: it does not count. A positive one means that both parts lean the same way: it counts.
    apart = _variance_of(residual, Sigma) + basis
    return Risks(math.sqrt(netted), math.sqrt(basis), math.sqrt(max(netted, apart)))


def _variance_of(q: FloatArray, Sigma: FloatArray) -> float:
    """q'Σq, and 0 where rounding of a perfectly offset position would make it negative."""
    return max(float(q @ Sigma @ q), 0.0)
