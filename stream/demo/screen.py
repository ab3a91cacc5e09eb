"""What the demo shows: the state of the desk, as read from the output topics."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np
from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from schemas.outbound import Alert, HedgeSuggestion, Model, ModelBeta, ResidualExposure

LATENCIES_KEPT = 2000
ALERTS_SHOWN = 6
RATE_WINDOW_S = 5.0


@dataclass
class Desk:
    """The latest message of each kind, as any reader of the topics would keep them."""

    books: list[str]
    numeraire: str
    residuals: dict[str, ResidualExposure] = field(default_factory=dict)
    suggestions: dict[str, HedgeSuggestion] = field(default_factory=dict)
    standing: dict[str, Alert] = field(default_factory=dict)
    cleared: deque[Alert] = field(default_factory=lambda: deque(maxlen=ALERTS_SHOWN))
    model: Model | None = None
    sent: int = 0
    received: dict[str, int] = field(default_factory=dict)
    trades_suggested: int = 0
    latencies_s: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES_KEPT))
    _rates: deque[tuple[float, int]] = field(default_factory=deque)

    def take(self, topic: str, message: ResidualExposure | HedgeSuggestion | Alert | Model) -> None:
        """Keep `message`."""
        self.received[topic] = self.received.get(topic, 0) + 1
        match message:
            case ResidualExposure():
                self.residuals[message.book] = message
            case HedgeSuggestion():
                self.suggestions[message.book] = message
                self.trades_suggested += message.status == "trade"
            case Alert():
                if message.state == "raised":
                    self.standing[message.alert_key] = message
                else:
                    self.standing.pop(message.alert_key, None)
                    self.cleared.appendleft(message)
            case Model():
                self.model = message

    def messages_per_second(self, now_s: float) -> float:
        """Messages in and out over the last seconds."""
        total = self.sent + sum(self.received.values())
        self._rates.append((now_s, total))
        while len(self._rates) > 2 and self._rates[1][0] <= now_s - RATE_WINDOW_S:
            self._rates.popleft()
        then_s, then = self._rates[0]
        return (total - then) / (now_s - then_s) if now_s > then_s else 0.0

    def latency_ms(self) -> tuple[float, float] | None:
        """p50 and p99 from sending a position to reading its residual exposure; None before the first."""
        if not self.latencies_s:
            return None
        p50, p99 = np.percentile(np.array(self.latencies_s) * 1e3, [50, 99])
        return float(p50), float(p99)


def render(desk: Desk, bootstrap: str, web: str, now_s: float) -> RenderableType:
    """The whole screen, with the addresses of Kafka, `bootstrap`, and of the service, `web`."""
    return Group(_header(desk, bootstrap, web, now_s), _books(desk), _vectors(desk), _alerts(desk))


def one_line(desk: Desk, now_s: float) -> str:
    """The state in one line, for output that is not a terminal."""
    books = "  ".join(f"{book} {_share_text(desk.residuals.get(book))}" for book in desk.books)
    return f"{_day(desk)}  {books}  suggestions {desk.trades_suggested}  {_speed(desk, now_s)}"


def _header(desk: Desk, bootstrap: str, web: str, now_s: float) -> RenderableType:
    title = Text.assemble(
        ("betapack", "bold"),
        ("  REPLAY ", "black on cyan"),
        f"  {_day(desk)}   {_speed(desk, now_s)}",
    )
    note = Text(
        "prices: European Central Bank daily rates; bid-ask spreads and client flow are simulated. "
        f"Risk: one standard deviation a day, {desk.numeraire}.",
        style="dim",
    )
    return Group(title, Text(f"Kafka {bootstrap}   what-ifs http://{web}"), note)


def _day(desk: Desk) -> str:
    if desk.model is None:
        return "no model yet"
    # A timestep ends at midnight: its prices are those of the day before.
    return f"{datetime.fromtimestamp((desk.model.event_time_ns - 1) // 1_000_000_000, UTC):%a %Y-%m-%d}"


def _speed(desk: Desk, now_s: float) -> str:
    latency = desk.latency_ms()
    timing = f"position to residual p50 {latency[0]:.0f} p99 {latency[1]:.0f} ms" if latency else "no position yet"
    return f"{desk.messages_per_second(now_s):,.0f} messages/s   {timing}"


def _books(desk: Desk) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, expand=True, pad_edge=False)
    table.add_column("book", no_wrap=True)
    table.add_column("risk before", justify="right", no_wrap=True)
    table.add_column("netted", justify="right", no_wrap=True)
    table.add_column("unhedged", justify="right", no_wrap=True)
    steps = next((residual.horizon_steps for residual in desk.residuals.values()), None)
    table.add_column(f"over {steps} days" if steps else "over more days", justify="right", no_wrap=True)
    table.add_column("of limit", no_wrap=True, min_width=18)
    table.add_column("packed: lots × β", ratio=3)
    table.add_column("suggested trades: cost → risk after", ratio=4)
    for book in desk.books:
        residual = desk.residuals.get(book)
        table.add_row(
            Text(book, style="bold"),
            _money(residual.standalone_risk if residual else None),
            _money(residual.netted_risk if residual else None),
            _money(residual.unhedged_risk if residual else None),
            _money(residual.horizon_unhedged_risk if residual else None),
            _share(residual),
            _packed(residual),
            _trades(desk.suggestions.get(book)),
        )
    return table


def _money(amount: float | None) -> str:
    return "?" if amount is None else f"{amount:,.0f}"


def _share(residual: ResidualExposure | None) -> Text:
    if residual is None:
        return Text("waiting", style="dim")
    if residual.limit_share is None:
        missing = f" {', '.join(residual.unpriced_assets)}" if residual.unpriced_assets else ""
        return Text(f"▲ {residual.status}{missing}", style="yellow")
    share = residual.limit_share
    glyph, colour = ("●", "green") if share < 0.8 else ("▲", "yellow") if share < 1 else ("■", "red")
    bar = "━" * max(1, min(10, round(share * 8)))
    return Text(f"{glyph} {share:>5.0%} {bar}", style=colour)


def _share_text(residual: ResidualExposure | None) -> str:
    return _share(residual).plain.rstrip("━ ")


def _packed(residual: ResidualExposure | None) -> Text:
    if residual is None or not residual.packed:
        return Text("nothing", style="dim")
    parts = []
    for packed in residual.packed:
        legs = " ".join(f"{weight:+.2f} {asset}" for asset, weight in packed.weights.items())
        parts.append(f"{_signed(packed.multiples)} × ({legs})")
    return Text("\n".join(parts))


def _trades(suggestion: HedgeSuggestion | None) -> Text:
    if suggestion is None or suggestion.status == "none":
        return Text("none needed", style="dim")
    # Never red and green for direction: those are for limits.
    text = Text(", ").join(
        Text(f"{trade.side} {trade.lots} {trade.instrument}", style="blue" if trade.side == "buy" else "orange1")
        for trade in suggestion.trades
    )
    text.append(f": {suggestion.expected_cost:,.0f} → {suggestion.risk_after:,.0f}", style="dim")
    if suggestion.status == "unreachable":
        text.append(" target out of reach", style="yellow")
    return text


def _vectors(desk: Desk) -> RenderableType:
    if desk.model is None or not desk.model.betas:
        return Text("β in use: none reliable", style="dim")
    parts = [f"{beta.beta_id.partition(':')[2]} {_evidence(beta)}" for beta in desk.model.betas]
    return Text.assemble(("β in use (basis ratio ≤ its upper bound, chance of a walk): ", "dim"), "   ".join(parts))


def _evidence(beta: ModelBeta) -> str:
    digits = 4 if beta.basis_ratio < 0.01 else 2
    upper = "?" if beta.basis_ratio_upper is None else f"{beta.basis_ratio_upper:.{digits}f}"
    chance = "?" if beta.p_value is None else f"{beta.p_value:.2g}"
    return f"{beta.basis_ratio:.{digits}f}≤{upper}, {chance}"


def _alerts(desk: Desk) -> RenderableType:
    lines = []
    standing = sorted(desk.standing.values(), key=lambda alert: -alert.event_time_ns)
    for alert in [*standing, *desk.cleared][:ALERTS_SHOWN]:
        when = f"{datetime.fromtimestamp((alert.event_time_ns - 1) // 1_000_000_000, UTC):%Y-%m-%d}"
        glyph, style = ("■", "red") if alert.state == "raised" else ("●", "green")
        lines.append(Text.assemble((f"{when} {glyph} {alert.state:7} {alert.kind:19} ", style), alert.message))
    text = Text("\n").join(lines or [Text("none", style="dim")])
    return Panel(text, title="alerts", title_align="left", box=box.ROUNDED, border_style="dim")


def _signed(count: int) -> str:
    return f"{count:+d}".replace("-", "−")
