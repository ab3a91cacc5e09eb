"""What is handed to the web process: only what changed, merged without loss, and never the state itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from stream.config import Config
from stream.engine.step import Engine, EngineState
from stream.events.types import EngineEvent, FeedSilence, PositionLevel, Timestep
from stream.web.views import View, ViewEncoder

SECOND = 1_000_000_000


def position(book: str, quantity: float, at_s: float) -> PositionLevel:
    return PositionLevel(round(at_s * SECOND), book, 0, quantity, f"positions[0]@{at_s}")


@pytest.fixture
def played(
    desk: Config, timestep_of: Callable[..., Timestep], mid_prices: Callable[[int, int], Any]
) -> tuple[Engine, EngineState, Callable[[int], Timestep]]:
    """An engine with prices, its state, and what closes the timesteps to come."""
    engine, mids = Engine(desk), mid_prices(40, 3)
    state = engine.new_state()
    for step in range(1, 31):
        state, _ = engine.step(state, timestep_of(step, mids[step]))
    return engine, state, lambda step: timestep_of(step, mids[step])


def test_an_update_holds_what_changed_and_nothing_else(
    desk: Config, played: tuple[Engine, EngineState, Callable[[int], Timestep]]
) -> None:
    """Everything at first and after a close, one book after a position of it, and no update where nothing changed."""
    engine, state, close = played
    encoder = ViewEncoder(desk)

    def after(*events: EngineEvent) -> tuple[bool, set[str]] | None:
        for event in events:
            engine.step(state, event)
            encoder.note(event)
        update = encoder.update(state)
        return None if update is None else (update.market is not None, set(update.books))

    everything = (True, {"spot", "options"})
    assert after() == everything
    assert after() is None
    assert after(position("spot", 1e6, 30.1)) == (False, {"spot"})
    assert after(position("options", 1e6, 30.2), position("options", 2e6, 30.3)) == (False, {"options"})
    assert after(close(31)) == everything
    assert after(FeedSilence(True)) == (False, set())
    assert after() is None
    encoder.forget()
    assert after() == everything


def test_merged_updates_say_what_they_say_one_by_one(
    desk: Config, played: tuple[Engine, EngineState, Callable[[int], Timestep]]
) -> None:
    """A reader that missed nothing and one that takes two updates merged into one know the same."""
    engine, state, close = played
    encoder, stepwise, at_once = ViewEncoder(desk), View(desk), View(desk)
    events = [position("spot", 1e6, 30.1), close(31), position("options", 3e6, 31.1), position("spot", 2e6, 31.2)]
    merged = encoder.update(state)
    assert merged is not None
    stepwise.take(merged)
    for event in events:
        engine.step(state, event)
        encoder.note(event)
        update = encoder.update(state)
        assert update is not None
        stepwise.take(update)
        merged = merged.merged(update)
    at_once.take(merged)
    for name in ("spot", "options"):
        market, book = at_once.of(name)
        same_market, same_book = stepwise.of(name)
        assert market is not None
        assert same_market is not None
        assert book is not None
        assert same_book is not None
        assert market.timestep == same_market.timestep == 31
        assert np.array_equal(book.quantities, same_book.quantities)
        assert np.array_equal(book.quantities, state.books[name].quantities)


def test_no_question_reaches_the_state(
    desk: Config, played: tuple[Engine, EngineState, Callable[[int], Timestep]]
) -> None:
    """Every look at a book is a copy of its own; the market stays one object until the next close."""
    engine, state, close = played
    encoder, view = ViewEncoder(desk), View(desk)
    assert view.of("spot") == (None, None)
    engine.step(state, position("spot", 1e6, 30.1))
    update = encoder.update(state)
    assert update is not None
    # As it goes to the other process.
    view.take(msgspec.msgpack.decode(msgspec.msgpack.encode(update), type=type(update)))
    market, book = view.of("spot")
    assert book is not None
    book.quantities[0] = -1.0
    again, untouched = view.of("spot")
    assert again is market
    assert untouched is not None
    assert untouched.quantities[0] == state.books["spot"].quantities[0] == 1e6
    engine.step(state, close(31))
    encoder.note(close(31))
    later = encoder.update(state)
    assert later is not None
    view.take(later)
    assert view.of("spot")[0] is not market


def test_on_a_silent_feed_no_price_is_fresh(
    desk: Config, played: tuple[Engine, EngineState, Callable[[int], Timestep]]
) -> None:
    """A question is then answered as a position without a time would be: no asset but the numeraire has a price."""
    engine, state, _ = played
    encoder, view = ViewEncoder(desk), View(desk)
    update = encoder.update(state)
    assert update is not None
    view.take(update)
    market, _ = view.of("spot")
    assert market is not None
    assert np.isfinite(market.valuation.prices).all()
    engine.step(state, FeedSilence(True))
    silent = encoder.update(state)
    assert silent is not None
    view.take(silent)
    market, _ = view.of("spot")
    assert market is not None
    assert np.isnan(market.valuation.prices).all()
