"""Writes the statement that a book is complete to the topic `positions`, as any producer could."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import closing

from schemas.inbound import PositionsComplete
from stream.config import Config
from stream.errors import ConfigError
from stream.events.encode import Encoder
from stream.kafka.publish import KafkaWriter


def write_confirmation(config: Config, book: str, reason: str, positions: Sequence[str], *, flat: bool) -> str:
    """State that `book` is complete, with `positions` as ASSET=UNITS where they are given. Returns what was stated.

    Raises
    ------
    ConfigError : the book or an asset is not in the configuration, or a position is no number.
    BrokerUnavailable, PublishFailed : the record may not be in the log.
    """
    statement = statement_of(config, book, reason, positions, flat=flat)
    with closing(KafkaWriter(config.kafka)) as writer:
        Encoder(config.topics.prefix, "/betapack/confirm").send(
            writer, statement, timestamp_ms=time.time_ns() // 1_000_000
        )
        writer.flush()
    if statement.positions is None:
        held = "the levels that the service holds when it reads this"
    else:
        held = ", ".join(f"{asset}={units:g}" for asset, units in statement.positions.items()) or "nothing"
    return f"stated that {book} is complete with {held}"


def statement_of(config: Config, book: str, reason: str, positions: Sequence[str], *, flat: bool) -> PositionsComplete:
    """The checked statement. Without an event time it takes effect when it is read, whatever the date of the prices."""
    if book not in {each.name for each in config.books}:
        known = ", ".join(each.name for each in config.books)
        raise ConfigError(f"--book must be one of {known}, got {book!r}")
    if flat and positions:
        raise ConfigError("--flat says that the book holds nothing, so it excludes --position; leave out one of them")
    held: dict[str, float] = {}
    for text in positions:
        asset, separator, units = text.partition("=")
        if not separator or asset not in config.universe.assets or asset in held:
            raise ConfigError(
                f"--position must be ASSET=UNITS with each of {', '.join(config.universe.assets)} at most once, "
                f"got {text!r}"
            )
        held[asset] = _number(text, units)
    return PositionsComplete(
        book=book,
        positions=held if positions or flat else None,
        reason=reason,
        source="betapack confirm",
    )


def _number(text: str, units: str) -> float:
    try:
        number = float(units)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"--position must be ASSET=UNITS with a number, got {text!r}")
    return number
