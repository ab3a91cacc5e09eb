"""Messages that the service publishes.

Every message has a deterministic `id`: the same input gives the same id and the same bytes, so a reader can drop what
it has already seen. `event_time_ns` is nanoseconds since the Unix epoch, UTC. `timestep` numbers the steps of the
event-time grid from 1970 on. `model_version` is that of the model on which the figures stand. `trigger_source` names
what caused the solve: the number of the timestep, or the position's record as topic[partition]@offset. Money is in
units of the `numeraire`. Risk is one standard deviation in the numeraire: over one timestep, or over `horizon_steps` of
them where its name begins with `horizon`. The `limit` of a book is on the one or the other, as `limit_on` says.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

#: What may propose a β vector.
ReversionMethod: TypeAlias = Literal["sparse", "pca", "ica", "johansen", "ou", "box_tiao", "baskets"]


#: Over what a book's limit is: one timestep, or `horizon_steps` of them.
LimitOn: TypeAlias = Literal["timestep", "horizon"]


class AssetExposure(Struct, frozen=True, kw_only=True, gc=False):
    """Net position in one asset (`exposure`) and its `residual` after packing, both valued in the numeraire.

    `in_flight` is the part of `exposure` that comes from hedge trades which are being worked, or were filled after the
    latest position of the asset.
    """

    asset: str
    exposure: float
    residual: float
    in_flight: float = 0.0


class PackedBeta(Struct, frozen=True, kw_only=True):
    """Whole lots of one β vector that were packed out of a book.

    `beta_id`, `version` and the evidence (`evidence`, `basis_ratio`, `basis_ratio_upper`, `p_value`) are those of the
    model's β. `weights` are notional weights by asset, the leading leg
    is +1; `multiples` counts lots of `lot_notional` on that leg. `basis_risk` is the risk that this many lots keep:
    packed is not riskless. `horizon_basis_risk` is that over the horizon: bounded where the spread reverts, and growing
    like a walk's where `basis` is its only evidence.
    """

    beta_id: str
    weights: dict[str, float]
    multiples: int
    lot_notional: float
    basis_ratio: float
    basis_risk: float
    version: int = 0
    evidence: tuple[Literal["reverting", "basis"], ...] = ()
    basis_ratio_upper: float | None = None
    p_value: float | None = None
    horizon_basis_risk: float | None = None


class ResidualExposure(Struct, frozen=True, kw_only=True):
    """What of a book is really unhedged, after everything that hedges itself is packed away.

    `status` is `ok`; `unpriced` when a price that the book needs is missing or stale (`unpriced_assets` names them); or
    `no-model` while the covariance has seen too little, or nothing for twice as long as a price may be old; `unsolved`
    when the solver refused the book. `detail` says why in words. Without `ok` every figure is None: unknown, not zero.

    Risks: `standalone_risk` is the sum of each position's own risk (no offset counts); `netted_risk` takes every offset
    of the covariance as given; `basis_risk` is that of what was packed, for packed is not riskless. unhedged_risk² =
    residual' Σ residual + basis_risk², or netted_risk² where that is more, so no offset between residual and packed
    counts. `horizon_netted_risk`, `horizon_basis_risk` and `horizon_unhedged_risk` are the same with the covariance of
    the change over `horizon_steps` timesteps, in which only the spreads of β with the evidence `reverting` come back.
    The `limit` is held against `unhedged_risk`, or against `horizon_unhedged_risk` where `limit_on` is `horizon`;
    `limit_share` is that risk over the limit.

    Packing: `objective` is the value that was minimised, `objective_before` its value with nothing packed,
    `lower_bound` a value that no packing can beat, `gap` the difference of `objective` and `lower_bound`, `proven`
    whether the gap is closed. `second_best` is the objective of the best other packing that the search came across,
    None when there is none. `objective_name` says what was minimised. `packed` is empty when nothing was packed.
    `effort_nodes` is the effort spent, `stopped_by_clock` whether the deadline cut it short.

    `trigger` is what caused the solve: the close of a timestep, a change of the book's position, or of what is in
    flight. `what-if` stands only in answers to requests (`schemas.answers`), never on the topic.
    """

    id: str
    book: str
    universe: str
    event_time_ns: int
    timestep: int
    model_version: int
    trigger: Literal["timestep", "position", "hedge-status", "what-if"]
    status: Literal["ok", "unpriced", "no-model", "unsolved"]
    numeraire: str
    limit: float
    positions: tuple[AssetExposure, ...] = ()
    unpriced_assets: tuple[str, ...] = ()
    packed: tuple[PackedBeta, ...] = ()
    standalone_risk: float | None = None
    netted_risk: float | None = None
    basis_risk: float | None = None
    unhedged_risk: float | None = None
    limit_share: float | None = None
    objective_name: str = ""
    objective_before: float | None = None
    objective: float | None = None
    lower_bound: float | None = None
    gap: float | None = None
    proven: bool = False
    second_best: float | None = None
    effort_nodes: int = 0
    stopped_by_clock: bool = False
    trigger_source: str = ""
    detail: str = ""
    horizon_steps: int = 0
    horizon_netted_risk: float | None = None
    horizon_basis_risk: float | None = None
    horizon_unhedged_risk: float | None = None
    limit_on: LimitOn = "timestep"

    @property
    def limit_risk(self) -> float | None:
        """The risk that the limit is held against."""
        return self.horizon_unhedged_risk if self.limit_on == "horizon" else self.unhedged_risk


class HedgeTrade(Struct, frozen=True, kw_only=True):
    """One whole-lot trade.

    `quantity` is `lots` in units of the instrument. `limit_price` is the worst price that the cost assumes: that of the
    last level of the ladder which the lots need. `expected_cost`, in the numeraire, is what the lots lose against mid,
    plus fees. `share_removed` is this trade's part of the variance that all of them take away, an average over every
    order of trading; the parts add up to one, and a trade that alone would add risk has a negative one.
    """

    instrument: str
    side: Literal["buy", "sell"]
    lots: int
    quantity: float
    limit_price: float
    expected_cost: float
    venue: str = ""
    share_removed: float = 0.0


class HedgeSuggestion(Struct, frozen=True, kw_only=True):
    """The cheapest whole-lot trades found that bring a book's unhedged risk back to its target.

    `status`: `trade` for a new suggestion; `unchanged` for one that stands, with the trades that nobody has taken up at
    the quotes of now; `none` when the risk is inside the band again and what was suggested no longer holds;
    `unreachable` when no permitted trade was found that reaches the target, nor exists if `proven` (`trades` then come
    within a hundredth of the least risk found).
    `expected_cost`, in the numeraire, is `expected_spread` (half the quoted spread), `expected_fee` and
    `expected_depth` (what levels behind the best price and impact add). No hedge costs less than `cost_lower_bound`,
    `gap` is the difference, and `proven` says that it is within the configured resolution. `runner_up` is the cheapest
    hedge found that does without at least one of the instruments of `trades` (the same at another venue is no other
    instrument), `runner_up_cost` what it costs: None where none was found that reaches the target. `runner_up_proven`
    says that none is cheaper. `target` is the risk that the trades are to reach, `band` that above
    which they are suggested: the limit, or less in a book that waits for clients, where a position like this one leaves
    the zone of its quote skew. `risk_before` is the unhedged risk without them, `risk_after` that with them while the
    packing stays; once they are done the book is packed anew, which can move it by some per cent.
    `residual_exposure_id` is the id of the message that this one answers. `suggestion_id` stays from when the
    suggestion was made until it is withdrawn, replaced or taken up; a `HedgeStatus` names it. It is not to be taken up
    after `expires_at_ns`, unless a later message under the same id renews it. `effort_nodes` is the effort spent,
    `stopped_by_clock` whether the deadline cut it short: only then can the same input give another answer. All
    risks, limit, band and target are over one timestep, or over the horizon of that message, as `limit_on` says.
    """

    id: str
    book: str
    event_time_ns: int
    timestep: int
    model_version: int
    residual_exposure_id: str
    status: Literal["trade", "none", "unreachable", "unchanged"]
    numeraire: str
    limit: float
    target: float
    risk_before: float
    risk_after: float
    expected_cost: float
    cost_lower_bound: float
    proven: bool
    trades: tuple[HedgeTrade, ...] = ()
    reason: str = ""
    trigger_source: str = ""
    effort_nodes: int = 0
    stopped_by_clock: bool = False
    limit_on: LimitOn = "timestep"
    suggestion_id: str = ""
    expires_at_ns: int = 0
    gap: float = 0.0
    expected_spread: float = 0.0
    expected_fee: float = 0.0
    expected_depth: float = 0.0
    runner_up: tuple[HedgeTrade, ...] = ()
    runner_up_cost: float | None = None
    runner_up_proven: bool = False
    band: float = 0.0


class InstrumentSkew(Struct, frozen=True, kw_only=True, gc=False):
    """How to lean with the quotes of one instrument, and when to cross its spread.

    `skew_bps` is added to the mid before markups, in basis points of the price: long, it is negative, so that both bid
    and ask go down, and clients buy rather than sell. `half_spread_bps` is what crossing the spread costs, None where
    it is no market of the flow, or has no fresh quote to tell. `urgency` is what a unit hedged is worth over that cost:
    above 1, crossing beats waiting. `hedging_rate` is how fast to trade then, numeraire a timestep, negative to sell; 0
    up to an urgency of 1. `threshold` is the inventory along the instrument alone, numeraire, from which on it is worth
    crossing; None where it never is.
    """

    instrument: str
    skew_bps: float
    half_spread_bps: float | None = None
    urgency: float | None = None
    hedging_rate: float = 0.0
    threshold: float | None = None


class QuoteSkew(Struct, frozen=True, kw_only=True):
    """How a book leans its quotes so that clients take its inventory, and from which inventory on waiting costs more.

    Published when it differs materially from the one before of the same book, which holds until then. `status` is that
    of the book's residual exposure, or `unsolved` when the flow has no answer; `detail` says why in words. Without `ok`
    there are no figures: what was published before holds no more.

    `instruments` are those of the client flow `flows`, whose parameters have the hash `flows_hash`. `risk` is that of
    the whole position over one timestep, what is in flight included and nothing packed, `urgency` the greatest of the
    instruments: up to 1 the position is inside the zone in which nothing is worth a hedge. `least_risk` is the least
    risk on the edge of that zone, None where nothing is ever worth one; a limit below it hedges too early.
    `risk_aversion` is per numeraire, as configured or as the book's limit implies it.
    """

    id: str
    book: str
    universe: str
    event_time_ns: int
    timestep: int
    model_version: int
    status: Literal["ok", "unpriced", "no-model", "unsolved"]
    numeraire: str
    flows: str
    flows_hash: str
    residual_exposure_id: str
    trigger_source: str = ""
    risk_aversion: float | None = None
    risk: float | None = None
    urgency: float | None = None
    least_risk: float | None = None
    instruments: tuple[InstrumentSkew, ...] = ()
    detail: str = ""


class Alert(Struct, frozen=True, kw_only=True):
    """Something a human must look at, raised once and cleared once.

    `subject` is the book, asset or β that it is about; `alert_key` names the condition, the same when raised and
    cleared. `message` is for people; `value` and `limit` are the figures that it compares, where there are any.
    """

    id: str
    alert_key: str
    kind: Literal[
        "limit-breach",
        "price-stale",
        "feed-silent",
        "relationship-broken",
        "book-unsolved",
        "hedge-overdue",
        "refit-failed",
    ]
    state: Literal["raised", "cleared"]
    severity: Literal["warning", "critical"]
    subject: str
    event_time_ns: int
    timestep: int
    message: str
    value: float | None = None
    limit: float | None = None


class ModelBeta(Struct, frozen=True, kw_only=True):
    """One accepted β vector with its evidence.

    `weights`: notional weights by asset, leading leg +1. `basis_ratio` is Var(β'Δx) / Σ βᵢ² Var(Δxᵢ) over
    `basis_horizon_steps` on the stretch held back from the fit: 1 for independent walks, 0 for a perfect hedge.
    `basis_ratio_upper` is its upper confidence bound, None where there is none. `half_life_steps` is None when the
    spread does not revert in the window. `statistic` is that of the method's test of a walk against reversion,
    `p_value` the chance of such a one where nothing reverts; how many were tried says the model's `candidates_tried`.
    `deviation` is the spread's distance from its mean in units of its standard deviation in the window. `evidence` says
    on which grounds it was accepted. `beta_id` is its `method` with its legs, or with a number where every asset is a
    leg; it stays the same over refits. `version` counts the weights that it had, `age_steps` the timesteps since it was
    accepted. `spread_volatility` is the standard deviation of the spread in the window. `adjustment` is by asset the
    log return of a timestep for a spread that is off by one, as the risk over the horizon takes it; empty for a spread
    that it takes for a walk: without the evidence `reverting`, or with a pull too weak to count.
    """

    beta_id: str
    method: ReversionMethod
    evidence: tuple[Literal["reverting", "basis"], ...]
    weights: dict[str, float]
    basis_ratio: float
    basis_horizon_steps: int
    half_life_steps: float | None = None
    spread_volatility: float | None = None
    deviation: float | None = None
    statistic: float | None = None
    version: int = 0
    age_steps: int = 0
    basis_ratio_upper: float | None = None
    p_value: float | None = None
    adjustment: dict[str, float] = {}


class LongerCovariance(Struct, frozen=True, kw_only=True):
    """The covariance of log returns over `every_steps` timesteps, which are `timestep_ns`, row by row of `assets`.

    Over that time, not over one timestep. `observations` counts the returns seen of the asset with most.
    """

    every_steps: int
    timestep_ns: int
    assets: tuple[str, ...] = ()
    covariance: tuple[tuple[float, ...], ...] = ()
    observations: int = 0


class Model(Struct, frozen=True, kw_only=True):
    """The market's model at the close of one timestep: prices, covariance and the β vectors in use.

    `prices` are in the numeraire per unit of asset, None while one is missing or stale. `priced_by` names for each the
    instruments whose quotes it stands on: one against the numeraire, or a path of them from the asset on. `covariance`
    is of log returns over one timestep, row by row in the order of `covariance_assets`: those of `assets` that have a
    price and enough returns; both are empty until some have. `longer_covariances` are those over several timesteps. An
    empty `betas` is a normal answer: no reliable vector. `asset_observations` counts the returns seen of each asset,
    `observations` those of the asset with most. `candidates_tried` counts the β vectors among which the accepted ones
    were found. `refusals` has a line for each method that could not be fitted, with the reason.

    The β are those of the last refit in effect, less what broke since; `refitted_at_timestep` is the timestep up to
    which it saw prices, 0 before the first. `refit_late`: a refit that was due at this close was not ready, or takes
    effect at it although it was due before; only then can the same input give other β.
    """

    id: str
    universe: str
    numeraire: str
    event_time_ns: int
    timestep: int
    model_version: int
    assets: tuple[str, ...]
    prices: tuple[float | None, ...]
    covariance: tuple[tuple[float, ...], ...] = ()
    observations: int = 0
    betas: tuple[ModelBeta, ...] = ()
    candidates_tried: int = 0
    refusals: tuple[str, ...] = ()
    priced_by: tuple[tuple[str, ...], ...] = ()
    covariance_assets: tuple[str, ...] = ()
    asset_observations: tuple[int, ...] = ()
    longer_covariances: tuple[LongerCovariance, ...] = ()
    refitted_at_timestep: int = 0
    refit_late: bool = False


class DeadLetter(Struct, frozen=True, kw_only=True):
    """A message that could not be used, kept whole: where it stood, why it was refused, and its raw bytes.

    `topic`, `partition` and `offset` are those of the refused record, `key`, `value` and `content_type` what it held.
    `reason` comes from a fixed set, `detail` is for people. `event_time_ns` is the refused record's timestamp.
    """

    id: str
    topic: str
    partition: int
    offset: int
    reason: str
    detail: str
    event_time_ns: int
    key: bytes | None = None
    value: bytes | None = None
    content_type: str = ""
