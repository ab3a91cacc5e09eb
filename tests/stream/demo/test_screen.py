"""What the demo shows."""

from __future__ import annotations

from io import StringIO

import msgspec
import pytest
from rich.console import Console

from message_samples import SAMPLES
from schemas.outbound import Alert, HedgeSuggestion, Model, ResidualExposure
from stream.demo.screen import ALERTS_SHOWN, Desk, one_line, render

BOOK = "desk-zürich"


@pytest.fixture
def desk() -> Desk:
    """A desk that has read one message of each kind, and one book of which nothing was read."""
    desk = Desk([BOOK, "quiet"], "USD")
    for sample in SAMPLES:
        if isinstance(sample, ResidualExposure | HedgeSuggestion | Alert | Model):
            desk.take(type(sample).__name__, sample)
    return desk


def shown(desk: Desk) -> str:
    console = Console(width=200, record=True, file=StringIO())
    console.print(render(desk, "localhost:9092", "localhost:9464", 1.0))
    return console.export_text()


def test_the_screen_says_what_the_messages_say(desk: Desk) -> None:
    """Risks, share of the limit, what is packed, the trades with cost and risk after, β with its evidence, alerts."""
    text = shown(desk)
    for part in (
        "4,251",
        "843",
        "760",
        "2,402",
        "over 10 days",
        "■  101%",
        "+22 × (-0.95 CHF +1.00 EUR)",
        "sell 18 EURUSD: 72 → 594",
        "CHF/EUR 0.04≤0.06, 0.0056",
        "limit-breach",
        "unhedged risk 760 USD is over the limit of 750 USD",
        "Fri 2024-01-05",
        "Kafka localhost:9092",
        "http://localhost:9464",
        "waiting",
    ):
        assert part in text, part
    assert one_line(desk, 1.0).startswith("Fri 2024-01-05  desk-zürich ■  101%  quiet waiting  suggestions 1")


def test_a_desk_that_has_read_nothing_says_so() -> None:
    """No figure is made up before the first message."""
    text = shown(Desk(["spot"], "USD"))
    for part in ("no model yet", "waiting", "none reliable", "none needed", "no position yet"):
        assert part in text
    assert Desk([], "USD").latency_ms() is None


def test_a_book_without_figures_shows_why(desk: Desk) -> None:
    """`unpriced` and the asset in place of a share of the limit."""
    unpriced = msgspec.structs.replace(
        desk.residuals[BOOK], status="unpriced", unpriced_assets=("NOK",), limit_share=None, unhedged_risk=None
    )
    desk.take("residual-exposure", unpriced)
    text = shown(desk)
    assert "▲ unpriced NOK" in text
    assert "?" in text


def test_an_alert_stands_until_it_is_cleared(desk: Desk) -> None:
    """The newest first, no more than fit, and those that were cleared after those that stand."""
    (standing,) = desk.standing.values()
    for number in range(2 * ALERTS_SHOWN):
        raised = msgspec.structs.replace(standing, alert_key=f"price-stale:{number}", message=f"stale {number:02}")
        desk.take("alerts", raised)
        desk.take("alerts", msgspec.structs.replace(raised, state="cleared"))
    assert list(desk.standing) == [standing.alert_key]
    text = shown(desk)
    lines = [line for line in text.splitlines() if " raised " in line or " cleared " in line]
    assert len(lines) == ALERTS_SHOWN
    assert " raised " in lines[0]
    assert [line.split("stale ")[-1][:2] for line in lines[1:]] == ["11", "10", "09", "08", "07"]


def test_the_rate_is_that_of_the_last_seconds() -> None:
    """What came in a burst long ago does not count."""
    desk = Desk([], "USD", sent=1000)
    assert desk.messages_per_second(0.0) == 0.0
    desk.sent = 1100
    assert desk.messages_per_second(1.0) == 100.0
    for second in range(2, 20):
        desk.sent += 10
        rate = desk.messages_per_second(float(second))
    assert rate == pytest.approx(10.0)


def test_latencies_are_quantiles() -> None:
    """In milliseconds, of those that were kept."""
    desk = Desk([], "USD")
    desk.latencies_s.extend(number / 1000 for number in range(101))
    assert desk.latency_ms() == pytest.approx((50.0, 99.0))
