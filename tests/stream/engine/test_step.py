"""The engine against plain numpy and enumeration over a whole day, and what holds of all its outputs."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from engine_play import WARM_UP, MidPrices, TimestepOf, play, scripted_day, warmed_up
from plain_desk import PlainDesk, assert_same
from schemas.outbound import Alert, HedgeSuggestion, ResidualExposure
from stream.config import BookConfig, Config
from stream.engine.book.state import BookState
from stream.engine.step import Engine, Output
from stream.events.types import PositionLevel, Timestep


@pytest.mark.slow
@pytest.mark.parametrize(("every", "lag"), [(1, 1), (1, 0), (4, 2)])
def test_a_scripted_day_says_what_plain_numpy_and_enumeration_say(
    desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf, every: int, lag: int
) -> None:
    """Each message of 20 timesteps with 21 position changes, recomputed from the definitions over all combinations.

    Prices, covariance, β with their evidence from the timestep on at which they count, residual, objective of the
    optimal packing, every risk, the cheapest trades, alerts, ids and order. The day has trades, withdrawals,
    unreachable targets, stale prices, alerts raised and cleared.
    """
    reversion = msgspec.structs.replace(desk.reversion, refit_every_steps=every, refit_lag_steps=lag)
    desk = msgspec.structs.replace(desk, reversion=reversion)
    engine, plain = Engine(desk), PlainDesk(desk)
    state = engine.new_state()
    seen: set[object] = set()
    for event in scripted_day(mid_prices, timestep_of):
        state, published = engine.step(state, event)
        assert isinstance(event, Timestep | PositionLevel)
        expected = plain.expect(event)
        where = f"{type(event).__name__} at {event.index if isinstance(event, Timestep) else event.source}"
        assert [type(message).__name__ for message in published] == [type(each).__name__ for each in expected], where
        for message, wanted in zip(published, expected, strict=True):
            assert_same(message, wanted, f"{where}: {type(wanted).__name__}")
        for message in published:
            if isinstance(message, ResidualExposure):
                seen |= {message.status, message.trigger, ("packed", bool(message.packed))}
            elif isinstance(message, HedgeSuggestion):
                seen |= {f"suggest {message.status}"}
                assert_reason_says_it_all(message)
            elif isinstance(message, Alert):
                seen |= {(message.kind, message.state)}
    # The day is only worth as much as what happens in it.
    assert seen >= {
        *("ok", "unpriced", "timestep", "position", ("packed", True), ("packed", False)),
        *("suggest trade", "suggest none", "suggest unreachable", "suggest unchanged"),
        *(("limit-breach", "raised"), ("limit-breach", "cleared")),
        *(("price-stale", "raised"), ("price-stale", "cleared")),
    }


def assert_reason_says_it_all(suggestion: HedgeSuggestion) -> None:
    """The sentence for the trader names every order, the risk before, the limit, and what comes of it."""
    for trade in suggestion.trades:
        assert f"{trade.side} {trade.lots} lot" in suggestion.reason
        assert trade.instrument in suggestion.reason
    assert f"{suggestion.risk_before:,.0f} USD" in suggestion.reason
    assert f"limit of {suggestion.limit:,.0f}" in suggestion.reason
    if suggestion.status == "unreachable":
        assert "no trade found reaches" in suggestion.reason or "no permitted trade" in suggestion.reason


def test_a_thousand_books_step_and_say_what_each_would_alone(
    desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf
) -> None:
    """Books do not touch each other: of a thousand in one step each publishes what it publishes alone."""
    many = msgspec.structs.replace(
        desk, books=tuple(BookConfig(name=f"b{index}", limit=700.0, max_lots=4) for index in range(1000))
    )
    rng = np.random.default_rng(3)
    held = rng.integers(-6, 7, (1000, 3)) * np.array([1e6, 1e6, 150e6])
    mids = mid_prices(WARM_UP + 1, 5)

    def outputs_of(config: Config) -> dict[str, list[Output]]:
        engine = Engine(config)
        state = warmed_up(engine, mid_prices, timestep_of)
        for book in config.books:
            state.books[book.name] = BookState(quantities=held[int(book.name[1:])].copy(), has_positions=True)
        found: dict[str, list[Output]] = {}
        for output in play(engine, state, [timestep_of(WARM_UP + 1, mids[-1])]):
            name = output.subject if isinstance(output, Alert) else getattr(output, "book", "")
            found.setdefault(name, []).append(output)
        return found

    together = outputs_of(many)
    assert len(together) == 1001
    for index in (0, 1, 499, 998, 999):
        alone = outputs_of(msgspec.structs.replace(many, books=many.books[index : index + 1]))
        assert together[f"b{index}"] == alone[f"b{index}"]
    assert {output.status for outputs in together.values() for output in outputs if isinstance(output, HedgeSuggestion)}


def test_the_engine_keeps_no_state_between_steps(desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf) -> None:
    """Two states of one engine, advanced in turns, publish what each publishes alone."""
    events = scripted_day(mid_prices, timestep_of)
    engine = Engine(desk)
    alone = play(engine, engine.new_state(), events)
    first, second = engine.new_state(), engine.new_state()
    first_outputs: list[Output] = []
    second_outputs: list[Output] = []
    for event in events:
        first_outputs += play(engine, first, [event])
        second_outputs += play(engine, second, [event])
    encode = msgspec.json.encode
    assert encode(first_outputs) == encode(second_outputs) == encode(alone)


def test_every_output_has_an_id_of_its_own(desk: Config, mid_prices: MidPrices, timestep_of: TimestepOf) -> None:
    """A reader that drops messages with a known id drops only repeated ones."""
    engine = Engine(desk)
    outputs = play(engine, engine.new_state(), scripted_day(mid_prices, timestep_of))
    assert len({output.id for output in outputs}) == len(outputs)
