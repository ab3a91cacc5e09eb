"""Prices that go stale, feeds that fall silent, limits that are crossed, and the alerts of all three."""

from __future__ import annotations

from engine_play import CHF, EUR, EURCHF, FIGURES, JPY, SECOND, USDCHF, USDJPY, Ready, TimestepOf, only, play, position
from schemas.outbound import Alert, Model, ResidualExposure
from stream.config import Config
from stream.engine.step import Engine
from stream.events.types import FeedSilence, PositionLevel


def test_a_book_that_needs_a_stale_price_is_unpriced_and_others_go_on(ready: Ready, timestep_of: TimestepOf) -> None:
    """No figure of it is published, the alert names it, and a book that does not hold the asset is solved as ever."""
    engine, state, mids = ready
    positions = [position("spot", JPY, 300e6, 70.1), position("options", EUR, 1e6, 70.2, 1)]
    before = play(engine, state, [*positions, timestep_of(71, mids)])
    assert {residual.status for residual in only(before, ResidualExposure)} == {"ok"}

    outputs = play(engine, state, [timestep_of(77, mids, {USDJPY: 71.9})])
    (spot,), (options,) = (only(outputs, ResidualExposure, book=book) for book in ("spot", "options"))
    assert spot.status == "unpriced"
    assert spot.unpriced_assets == ("JPY",)
    assert {getattr(spot, name) for name in FIGURES} == {None}
    assert spot.positions == spot.packed == ()
    assert not spot.proven
    assert options.status == "ok"
    assert options.unhedged_risk > 0
    alert, unsolved = only(outputs, Alert)
    assert (alert.kind, alert.state, alert.subject, alert.severity) == ("price-stale", "raised", "JPY", "critical")
    assert "spot" in alert.message
    assert "options" not in alert.message
    assert (unsolved.kind, unsolved.state, unsolved.subject) == ("book-unsolved", "raised", "spot")
    (model,) = only(outputs, Model)
    assert model.prices[JPY] is None

    # Once, not with every step; a position change meets the same answer.
    again = play(engine, state, [timestep_of(78, mids, {USDJPY: 71.9}), position("spot", EUR, 1e6, 78.5, 2)])
    assert not only(again, Alert)
    assert {residual.status for residual in only(again, ResidualExposure, book="spot")} == {"unpriced"}

    back = play(engine, state, [timestep_of(79, mids)])
    assert [(alert.kind, alert.state, alert.subject) for alert in only(back, Alert)] == [
        ("price-stale", "cleared", "JPY"),
        ("book-unsolved", "cleared", "spot"),
    ]
    assert {residual.status for residual in only(back, ResidualExposure)} == {"ok"}


def test_a_market_that_is_still_opening_raises_no_alert_unless_a_book_holds_the_asset(
    desk: Config, timestep_of: TimestepOf
) -> None:
    """Prices come one after another at the start; that is no failure before anybody needs them."""
    engine = Engine(desk)
    state = engine.new_state()
    opening = {USDCHF: 0, USDJPY: 0, EURCHF: 0}
    assert not only(play(engine, state, [timestep_of(1, (1.08, 0.9, 150.0), opening)]), Alert)
    held = play(engine, state, [position("spot", CHF, 1e6, 1.5), timestep_of(2, (1.08, 0.9, 150.0), opening)])
    (alert,) = only(held, Alert)
    assert (alert.kind, alert.state, alert.subject, alert.severity) == ("price-stale", "raised", "CHF", "critical")
    opened = play(engine, state, [timestep_of(3, (1.08, 0.9, 150.0))])
    assert [(each.state, each.subject) for each in only(opened, Alert)] == [("cleared", "CHF")]


def test_a_cross_keeps_a_book_priced(ready: Ready, timestep_of: TimestepOf) -> None:
    """Without USDCHF the franc is priced over EURCHF and EURUSD: no alert, and the model says on what it stands."""
    engine, state, mids = ready
    outputs = play(engine, state, [position("spot", CHF, 1e6, 71.0), timestep_of(77, mids, {USDCHF: 71.9})])
    assert not only(outputs, Alert, kind="price-stale")
    (model,) = only(outputs, Model)
    assert model.priced_by == (("EURUSD",), ("EURCHF", "EURUSD"), ("USDJPY",))
    assert {residual.status for residual in only(outputs, ResidualExposure)} == {"ok"}


def test_a_price_that_goes_stale_without_holders_is_a_warning(ready: Ready, timestep_of: TimestepOf) -> None:
    """Somebody should look, but no book is affected."""
    engine, state, mids = ready
    (alert,) = only(play(engine, state, [timestep_of(77, mids, {USDJPY: 71.9})]), Alert)
    assert (alert.kind, alert.severity, alert.subject) == ("price-stale", "warning", "JPY")


def test_a_stale_price_is_stale_for_a_position_too(ready: Ready) -> None:
    """Minutes after the last timestep its prices are as stale for a position change as they would be for a step."""
    engine, state, _ = ready
    (fresh,) = only(play(engine, state, [position("spot", EUR, 1e6, 71.0)]), ResidualExposure)
    assert fresh.status == "ok"
    (stale,) = only(play(engine, state, [position("spot", EUR, 2e6, 600.0, 1)]), ResidualExposure)
    assert stale.status == "unpriced"
    assert stale.unpriced_assets == ("EUR",)


def test_an_asset_that_is_taken_after_its_price_went_stale_raises_for_the_book(
    ready: Ready, timestep_of: TimestepOf
) -> None:
    """The asset's own alert was a warning, as nobody held it; the book that takes it is told at once."""
    engine, state, mids = ready
    (warning,) = only(play(engine, state, [timestep_of(77, mids, {USDJPY: 71.9})]), Alert)
    assert warning.severity == "warning"
    (alert,) = only(play(engine, state, [position("spot", JPY, 300e6, 77.1)]), Alert)
    assert (alert.kind, alert.severity, alert.subject) == ("book-unsolved", "critical", "spot")
    assert "JPY" in alert.message


def test_a_position_without_a_time_is_not_solved_on_a_silent_feed(ready: Ready) -> None:
    """It does not tell how old the prices are, but the standing alert of the silent feed does."""
    engine, state, _ = ready
    play(engine, state, [FeedSilence(True)])
    undated = PositionLevel(71 * SECOND, "spot", EUR, 2e6, "positions[0]@3", dated=False)
    (silent,) = only(play(engine, state, [undated]), ResidualExposure)
    assert silent.status == "unpriced"
    play(engine, state, [FeedSilence(False)])
    (back,) = only(play(engine, state, [undated]), ResidualExposure)
    assert back.status == "ok"


def test_an_alert_is_raised_at_the_limit_and_cleared_below_its_share(ready: Ready) -> None:
    """Between clear_share and the limit nothing changes; an alert is raised once and cleared once."""
    engine, state, _ = ready
    (unit,) = only(play(engine, state, [position("spot", EUR, 1e6, 70.1)]), ResidualExposure)
    per_limit = 1e6 / unit.limit_share
    course = []
    for offset, share in enumerate((0.5, 0.99, 1.01, 1.2, 0.97, 1.01, 0.96, 0.94, 0.97, 1.0 + 1e-9), start=1):
        outputs = play(engine, state, [position("spot", EUR, share * per_limit, 70.2, offset)])
        course += [(share, alert.state) for alert in only(outputs, Alert)]
    assert course == [(1.01, "raised"), (0.94, "cleared"), (1.0 + 1e-9, "raised")]


def test_the_feed_falls_silent_and_comes_back(ready: Ready) -> None:
    """It is raised and cleared once, at the time of the last timestep. The next silence has an id of its own."""
    engine, state, _ = ready
    events = [FeedSilence(True), FeedSilence(True), FeedSilence(False), FeedSilence(True)]
    alerts = only(play(engine, state, events), Alert)
    assert [(alert.kind, alert.state, alert.subject) for alert in alerts] == [
        ("feed-silent", "raised", "fx"),
        ("feed-silent", "cleared", "fx"),
        ("feed-silent", "raised", "fx"),
    ]
    assert len({alert.id for alert in alerts}) == 3
    assert {alert.event_time_ns for alert in alerts} == {70 * SECOND}
    assert alerts[0].limit == 10.0


def test_the_feed_can_fall_silent_before_the_first_quote(desk: Config) -> None:
    """A service that was started against a dead feed says so."""
    engine = Engine(desk)
    (alert,) = play(engine, engine.new_state(), [FeedSilence(True)])
    assert isinstance(alert, Alert)
    assert (alert.state, alert.timestep) == ("raised", 0)
