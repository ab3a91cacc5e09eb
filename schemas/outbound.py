"""Messages that the service publishes.

Every message has a deterministic `id`: the same input gives the same id and the same bytes, so a reader can drop
what it has seen before. Money is in units of the numeraire. Risk is one standard deviation in the numeraire: over
one timestep, or over `horizon_steps` timesteps where the name of the field begins with `horizon`.

Attributes
----------
id : The same input gives the same id: drop a message whose id was seen before.
book : Name of the book.
universe : Name of the universe.
asset : Name of the asset.
instrument : Name of the instrument.
event_time_ns : Event time that the message stands for, since the Unix epoch, UTC. [ns]
timestep : Number of the timestep on the event-time grid, counted from 1970 on.
model_version : Version of the model on which the figures stand.
trigger_source : What caused the solve: the number of the timestep, or the input record as topic[partition]@offset.
numeraire : The currency that money is counted in.
limit : Limit of the book's risk. [numeraire]
limit_on : What the limit is on: the risk over one timestep, or over `horizon_steps` timesteps.
effort_nodes : Effort that the search spent. [nodes]
stopped_by_clock : Whether the deadline cut the search short. Only then can the same input give another answer.
detail : Why there are no figures, or why they are marked, in words.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

#: What may propose a β vector.
ReversionMethod: TypeAlias = Literal["sparse", "pca", "ica", "johansen", "ou", "box_tiao", "baskets"]


#: Over what a book's limit is: one timestep, or `horizon_steps` of them.
LimitOn: TypeAlias = Literal["timestep", "horizon"]


#: What an alert can be about.
AlertKind: TypeAlias = Literal[
    "limit-breach",
    "price-stale",
    "price-suspect",
    "price-unchanged",
    "feed-silent",
    "quotes-late",
    "clock-ahead",
    "records-refused",
    "relationship-broken",
    "relationship-unproven",
    "relationship-outranked",
    "book-incomplete",
    "book-waiting",
    "book-unsolved",
    "hedge-overdue",
    "refit-failed",
]


#: How far the figures of a book can be trusted.
BookStatus: TypeAlias = Literal["ok", "incomplete", "suspect", "unpriced", "no-model", "unsolved"]


class AssetExposure(Struct, frozen=True, kw_only=True, gc=False):
    """The net position of a book in one asset.

    Attributes
    ----------
    exposure : Net position before packing. [numeraire]
    residual : What of it stays after packing. [numeraire]
    in_flight : The part of `exposure` from hedge trades that are being worked, or were filled after the latest position
        of the asset. [numeraire]
    """

    asset: str
    exposure: float
    residual: float
    in_flight: float = 0.0


class PackedBeta(Struct, frozen=True, kw_only=True):
    """Whole lots of one β vector that were packed out of a book.

    Attributes
    ----------
    beta_id : The β's id in the model.
    weights : Notional weights by asset; the leading leg is +1.
    multiples : How many lots are packed; negative ones are short. [lots]
    lot_notional : Size of one lot on the leading leg. [numeraire]
    basis_ratio : The β's basis ratio in the model: 0 a perfect hedge, 1 independent walks.
    basis_risk : Risk over one timestep that this many lots keep: packed is not riskless. [numeraire]
    version : The version of the β's weights in the model.
    evidence : On which grounds the model accepted the β.
    basis_ratio_upper : Upper confidence bound of the basis ratio. null: there is none.
    p_value : The β's p-value in the model. null: there is none.
    horizon_basis_risk : Risk over the horizon that this many lots keep. It is bounded where the basket spread reverts,
        and grows like a walk's where `basis` is the only evidence. [numeraire]
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

    Figures that are unknown are null, not zero. With the statuses `unpriced`, `no-model` and `unsolved` all of them
    are null.

    Attributes
    ----------
    trigger : What caused the solve: the close of a timestep, a change of the book's position, or of what is in flight.
        `what-if` occurs only in answers to requests, never on the topic.
    status : `ok`. `incomplete`: positions of the book may be missing from the figures, for the reasons in the field
        `incomplete`; `limit_share` is null and nothing is suggested. `suspect`: the figures use the last believed
        price of each asset in `suspect_assets`. `unpriced`: a price that the book needs is missing or
        stale. `no-model`: an asset that the book holds has no covariance yet, because it has too few returns or no
        price has moved. `unsolved`: the solver refused the book.
    positions : Exposure and residual of each asset.
    incomplete : Why positions of the book may be missing, in words; empty where none are.
    suspect_assets : Assets that the book holds and whose latest quotes are not believed.
    unpriced_assets : Assets whose price is missing or stale.
    packed : The β that were packed; empty when nothing was.
    standalone_risk : Sum of each position's own risk: no offset counts. [numeraire]
    netted_risk : Risk when every offset of the covariance counts. [numeraire]
    basis_risk : Risk of what was packed. [numeraire]
    unhedged_risk : The larger of `netted_risk` and the root of residual' Σ residual + basis_risk²: no offset between
        residual and packed part counts. [numeraire]
    limit_share : The risk that the limit is on, over the limit. null: it is unknown, because positions may be missing.
    objective_name : Which objective the packing minimised.
    objective_before : The objective with nothing packed.
    objective : The objective of the packing.
    lower_bound : A value that no packing can beat.
    gap : `objective` less `lower_bound`.
    proven : Whether the gap is closed: no packing is better.
    second_best : Objective of the best other packing that the search came across. null: there was none.
    horizon_steps : Length of the horizon. [timesteps]
    horizon_netted_risk : As `netted_risk`, with the covariance over the horizon, in which only basket spreads with the
        evidence `reverting` come back. [numeraire]
    horizon_basis_risk : As `basis_risk`, over the horizon. [numeraire]
    horizon_unhedged_risk : As `unhedged_risk`, over the horizon. [numeraire]
    """

    id: str
    book: str
    universe: str
    event_time_ns: int
    timestep: int
    model_version: int
    trigger: Literal["timestep", "position", "hedge-status", "what-if"]
    status: BookStatus
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
    incomplete: tuple[str, ...] = ()
    suspect_assets: tuple[str, ...] = ()

    @property
    def has_figures(self) -> bool:
        """Whether there are figures, be they marked or not."""
        return self.status in ("ok", "incomplete", "suspect")

    @property
    def limit_risk(self) -> float | None:
        """The risk that the limit is held against."""
        return self.horizon_unhedged_risk if self.limit_on == "horizon" else self.unhedged_risk


class HedgeTrade(Struct, frozen=True, kw_only=True):
    """One whole-lot trade.

    Attributes
    ----------
    side : Whether to buy or to sell the instrument.
    lots : How many lots. [lots]
    quantity : The lots in units of the instrument. [units]
    limit_price : The worst price that the cost assumes: that of the last level of the ladder which the lots need.
        [quote asset per unit]
    expected_cost : What the lots lose against mid, plus fees. [numeraire]
    venue : Venue of the instrument, as configured.
    share_removed : This trade's part of the variance that all trades remove, averaged over every order of trading. The
        parts add up to one; a trade that alone would add risk has a negative one.
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

    All risks, limit, band and target are over one timestep or over the horizon, as `limit_on` says.

    Attributes
    ----------
    residual_exposure_id : The `id` of the `ResidualExposure` that this message answers.
    status : `trade`: a new suggestion. `unchanged`: the standing suggestion, with the trades that nobody has taken up,
        at the latest quotes. `none`: the risk is inside the band, and the suggestion before this message is withdrawn.
        `unreachable`: no permitted trades were found that reach the target, and none exist if `proven`; `trades` then
        come within a hundredth of the least risk found.
    target : The risk that the trades are to reach. [numeraire]
    risk_before : Unhedged risk without the trades. [numeraire]
    risk_after : Unhedged risk with the trades, while the packing stays. Once they are done the book is packed anew,
        which can move it by some per cent. [numeraire]
    expected_cost : Cost of all trades: the sum of its three parts below. [numeraire]
    cost_lower_bound : No hedge that reaches `target` costs less than this; where the target is out of reach, no hedge
        to the least risk found does. 0 while trades that stand end above it: then no bound on their cost is known.
        [numeraire]
    proven : Whether `gap` is within the configured resolution.
    trades : The trades to do.
    reason : Why, in words.
    suggestion_id : Stays from when the suggestion was made until it is withdrawn, replaced or taken up. A `HedgeStatus`
        names it.
    expires_at_ns : Not to be taken up after this time, unless a later message under the same `suggestion_id` renews it.
        [ns]
    gap : `expected_cost` less `cost_lower_bound`. [numeraire]
    expected_spread : Part of the cost that is half the bid-ask spread. [numeraire]
    expected_fee : Part of the cost that is fees. [numeraire]
    expected_depth : Part of the cost that levels behind the best price and impact add. [numeraire]
    runner_up : The cheapest hedge found that does without at least one of the instruments of `trades`. The same
        instrument at another venue does not count as another one.
    runner_up_cost : Cost of the runner-up. null: none was found that reaches the target. [numeraire]
    runner_up_proven : Whether no such hedge is cheaper.
    band : Risk above which trades are suggested. It is the limit, or less in a book that waits for clients: the risk at
        which a position like this one leaves the zone of its quote skew. [numeraire]
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
    """How to lean with the quotes of one instrument, and when to cross its bid-ask spread.

    Attributes
    ----------
    skew_bps : Added to the mid before markups. A long inventory has a negative one: bid and ask go down, and clients
        buy rather than sell. [bps of the price]
    half_spread_bps : What crossing the bid-ask spread costs. null: it is no market of the flow, or has no fresh quote.
        [bps of the price]
    urgency : What a unit hedged is worth, over what crossing costs. Above 1 crossing beats waiting.
    hedging_rate : How fast to trade, negative to sell; 0 up to an urgency of 1. [numeraire per timestep]
    threshold : Inventory along this instrument alone from which on crossing is worth it. null: it never is. [numeraire]
    """

    instrument: str
    skew_bps: float
    half_spread_bps: float | None = None
    urgency: float | None = None
    hedging_rate: float = 0.0
    threshold: float | None = None


class QuoteSkew(Struct, frozen=True, kw_only=True):
    """How a book leans its quotes so that clients take its inventory, and when crossing beats waiting for them.

    It is published when it differs materially from the one before of the same book, which holds until then. Without the
    status `ok` there are no figures, and what was published before holds no more.

    Attributes
    ----------
    status : The status of the book's residual exposure, or `unsolved` when the flow has no answer.
    flows : Name of the client flow in the configuration.
    flows_hash : Hash of the flow's parameters.
    residual_exposure_id : The `id` of the `ResidualExposure` of the same solve.
    risk_aversion : As configured, or as the book's limit implies it. [1 / numeraire]
    risk : Risk of the whole position over one timestep, trades in flight included, nothing packed. [numeraire]
    urgency : The greatest urgency of all instruments. Up to 1 nothing is worth a hedge.
    least_risk : The least risk at which a hedge can be worth it; a limit below it hedges too early. null: none ever is.
        [numeraire]
    instruments : One skew for each instrument of the flow.
    """

    id: str
    book: str
    universe: str
    event_time_ns: int
    timestep: int
    model_version: int
    status: BookStatus
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

    Attributes
    ----------
    alert_key : Names the condition: the same when raised and when cleared.
    kind : What happened; docs/operations.md says what to do.
    state : Whether the condition begins or ends.
    severity : How urgent it is.
    subject : The book, asset, β or source of quotes that it is about.
    message : What happened, in words.
    value : The figure that crossed a limit. null: there is none.
    limit : The limit that it crossed. null: there is none.
    """

    id: str
    alert_key: str
    kind: AlertKind
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

    Attributes
    ----------
    beta_id : Its method with its legs, or with a number where every asset is a leg. It stays the same over refits.
    method : The method that proposed it.
    evidence : On which grounds it was accepted.
    weights : Notional weights by asset; the leading leg is +1.
    basis_ratio : Var(β'Δx) / Σ βᵢ² Var(Δxᵢ) over `basis_horizon_steps`, on the stretch held back from the fit: 1 for
        independent walks, 0 for a perfect hedge.
    basis_horizon_steps : Over how many timesteps the basis ratio is taken. [timesteps]
    half_life_steps : Half-life of the basket spread. null: it does not revert in the window. [timesteps]
    spread_volatility : Standard deviation of the basket spread in the window. [log price]
    deviation : The basket spread's distance from its mean. null: it cannot be told. [standard deviations]
    statistic : Statistic of the method's test of a walk against reversion.
    version : Number of its set of weights, counted from 1 on.
    age_steps : Since it was accepted. [timesteps]
    basis_ratio_upper : Upper confidence bound of the basis ratio. null: there is none.
    p_value : The chance of such a statistic where nothing reverts. The model's `candidates_tried` says how many were
        tried.
    adjustment : By asset, the expected log return over one timestep when the basket spread is one above its mean. The
        risk over the horizon uses it. Empty where the basket spread counts as a walk: it lacks the evidence
        `reverting`, or its reversion is too weak to count. [1 / timestep]
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
    """The covariance of log returns over several timesteps.

    Attributes
    ----------
    every_steps : Length of a return. [timesteps]
    timestep_ns : Length of a return. [ns]
    assets : The assets, in the order of the rows.
    covariance : Covariance over that length, not over one timestep, row by row. [log return²]
    observations : Returns seen of the asset with most.
    """

    every_steps: int
    timestep_ns: int
    assets: tuple[str, ...] = ()
    covariance: tuple[tuple[float, ...], ...] = ()
    observations: int = 0


class Model(Struct, frozen=True, kw_only=True):
    """The market's model at the close of one timestep: prices, covariance and the β vectors in use.

    The β are those of the last refit in effect, less what broke since. An empty `betas` is a normal answer: no reliable
    vector.

    Attributes
    ----------
    assets : The assets of the universe.
    prices : Price of each asset. null: it is missing or stale. [numeraire per unit]
    covariance : Covariance of log returns over one timestep, row by row of `covariance_assets`. [log return²]
    observations : Number of returns of the asset that has the most.
    betas : The β vectors in use.
    candidates_tried : Number of β vectors among which the accepted ones were found.
    refusals : One line for each method that could not be fitted, with the reason.
    priced_by : For each asset the instruments from whose quotes its price is computed: one instrument against the
        numeraire, or a path of instruments from the asset to the numeraire.
    covariance_assets : Those of `assets` that have a price and enough returns.
    asset_observations : Returns seen of each asset.
    longer_covariances : Covariances over several timesteps, as configured.
    refitted_at_timestep : The last timestep that the refit in effect saw; 0 before the first refit.
    refit_late : Whether a refit that was due at this close was not ready, or a refit takes effect at this close that
        was due at an earlier one. Only then can the same input give other β.
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
    """A record that could not be used: where it stood, why it was refused, its raw bytes.

    Of many ticks that are refused for one reason the first of a minute have a letter; `RefusedSummary` counts the
    others.
    The record is kept whole unless a record of this topic could not hold it. Then `detail` says what was cut, how long
    it was, and its sha256.

    Attributes
    ----------
    topic : Topic of the refused record.
    partition : Partition of the refused record.
    offset : Offset of the refused record.
    reason : Why it was refused, from a fixed set of words.
    detail : Why it was refused, for people. Of long names it has the beginning, the length and the sha256.
    event_time_ns : Timestamp of the refused record, since the Unix epoch, UTC. [ns]
    key : Key of the refused record, at most its first MiB.
    value : Value of the refused record, at most its first 10 MiB.
    content_type : The encoding as which the record was read. Where none can be read, the beginning of its
        `content-type` header.
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


class RefusedSummary(Struct, frozen=True, kw_only=True):
    """How many records of one partition of `ticks` were refused for one reason, beyond those that have a dead letter.

    Each refused record is in one `DeadLetter` or in one of these sums. The records themselves are in their topic,
    between the two offsets. Other records may stand there too.

    Attributes
    ----------
    topic : Topic of the refused records.
    partition : Partition of the refused records.
    reason : Why they were refused, from a fixed set of words.
    records : How many they are.
    first_offset : Offset of the first of them.
    last_offset : Offset of the last of them.
    event_time_ns : Timestamp of the latest of them, since the Unix epoch, UTC. [ns]
    from_ns : Timestamp of the earliest of them, since the Unix epoch, UTC. [ns]
    detail : Why the first of them was refused, for people.
    names : What they are about, with the number of occurrences: the names that the configuration lacks, the headers
        that name no encoding, or the instruments. The first 20 different names are counted.
    other_names : How often other names occurred.
    """

    id: str
    topic: str
    partition: int
    reason: str
    records: int
    first_offset: int
    last_offset: int
    event_time_ns: int
    from_ns: int
    detail: str = ""
    names: dict[str, int] = {}
    other_names: int = 0
