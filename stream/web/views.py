"""The part of the engine's state that a book's solve needs, for the process that answers questions.

It is the market at the last close and the books, without the rolling estimators, so it is small. It is copied by
encoding, so no question can change the service's own state.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from stream.config import Config
from stream.engine.alerts import alert_key
from stream.engine.book.state import BookState
from stream.engine.market.model import Market, MarketModel
from stream.engine.step import EngineState
from stream.events.array_codec import decode_array, encode_array
from stream.events.types import (
    LATEST_NS,
    EngineEvent,
    LevelsMissing,
    PositionLevel,
    PositionsConfirmed,
    Refused,
    Timestep,
    TradeReport,
)


class ViewUpdate(Struct, array_like=True):
    """What changed since the last update. `market` None: as it was. Books not named: as they were."""

    market: bytes | None
    books: dict[str, bytes]
    silent: bool

    def merged(self, later: ViewUpdate) -> ViewUpdate:
        """This update and a `later` one as one. It keeps the latest of everything, so it never outgrows one view."""
        market = self.market if later.market is None else later.market
        return ViewUpdate(market, self.books | later.books, later.silent)


class ViewEncoder:
    """Notes what events change, and encodes only that."""

    def __init__(self, config: Config) -> None:
        self._names = [book.name for book in config.books]
        self._silence = alert_key("feed-silent", config.universe.name)
        self._market_changed = False
        self._changed: set[str] = set()
        self._silent = False
        self.forget()

    def forget(self) -> None:
        """Make the next update hold everything, for a reader that has nothing yet."""
        self._market_changed = True
        self._changed = set(self._names)

    def note(self, event: EngineEvent) -> None:
        """Note that `event` went through the engine."""
        match event:
            case Timestep():
                self.forget()
            case PositionLevel() | PositionsConfirmed() | TradeReport():
                self._changed.add(event.book)
            case Refused() if event.position is not None:
                self._changed |= {event.position.book} if event.position.book in self._names else set(self._names)
            case LevelsMissing():
                self._changed = set(self._names)

    def update(self, state: EngineState) -> ViewUpdate | None:
        """What changed since the last update; None when nothing did. Takes some 3 µs a book, more with many trades."""
        silent = self._silence in state.alerts
        if not self._market_changed and not self._changed and silent == self._silent:
            return None
        market = _encoder.encode(state.latest) if self._market_changed and state.latest is not None else None
        books = {name: _encoder.encode(state.books[name]) for name in self._names if name in self._changed}
        self._market_changed, self._silent = False, silent
        self._changed.clear()
        return ViewUpdate(market, books, silent)


class View:
    """The latest that is known of the market and of each book."""

    def __init__(self, config: Config) -> None:
        self._model = MarketModel(config)
        self._latest = ViewUpdate(None, {}, False)
        self._decoded: tuple[bytes, Market] | None = None

    def take(self, update: ViewUpdate) -> None:
        """Take `update` into the view. A reader in another thread sees all of it or nothing."""
        self._latest = self._latest.merged(update)

    def of(self, book: str) -> tuple[Market | None, BookState | None]:
        """The market as the engine would take it for a position without a time of its own, and a copy of the book.

        The market is None before the first close, the book before its first event. The market's covariance and β stay
        the same objects until the next close, so what was prepared from them can be kept.
        """
        latest = self._latest
        state = latest.books.get(book)
        market = None
        if latest.market is not None:
            decoded = self._decoded  # once: another thread may be answering on a later update
            if decoded is None or decoded[0] is not latest.market:
                decoded = self._decoded = latest.market, _market_decoder.decode(latest.market)
            market = decoded[1]
            if latest.silent:
                market = self._model.at(market, LATEST_NS)
        return market, None if state is None else _book_decoder.decode(state)


_encoder = msgspec.msgpack.Encoder(enc_hook=encode_array)
_market_decoder = msgspec.msgpack.Decoder(Market, dec_hook=decode_array)
_book_decoder = msgspec.msgpack.Decoder(BookState, dec_hook=decode_array)
