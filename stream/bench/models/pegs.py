"""Pegs in the European Central Bank's daily rates: they are in use while they hold, and retired when they break."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from importlib.resources import files
from pathlib import Path

from schemas.inbound import Position
from schemas.outbound import Alert, Model, ResidualExposure
from stream.bench.figures import Comparison, measure
from stream.bench.models.replay import POSITIONS, TICKS, record_of, replayed
from stream.bench.proportion import proportion
from stream.config import Config, load_config
from stream.demo.rates import Day, read_days, ticks_of
from stream.engine.step import Output
from stream.kafka.log import Record

FIRST_DAY, LAST_DAY = date(1999, 1, 1), date(2026, 10, 30)
# The floor was given on 2011-09-06. In these days it was as old as a whole window.
FLOOR = (date(2013, 9, 2), date(2015, 1, 14))
BREAK = date(2015, 1, 15)
# Until this day no alert may be raised a second time.
AFTER_BREAK = date(2015, 2, 13)

BOOK, LONG, SHORT = "franc", "EUR", "CHF"
HELD_FROM = date(2014, 12, 1)
POSITION = {LONG: 8e6, SHORT: -9.6e6}
DANISH, SWISS = "sparse:EUR/DKK", "sparse:EUR/CHF"


def demo_config() -> Config:
    """The demo's: eleven currencies, one timestep a day, windows of 500 days with 125 held back."""
    return load_config(Path(str(files("stream.demo") / "demo.toml")))


def rates(config: Config, first: date) -> list[Day]:
    """The days since `first` up to LAST_DAY, however new the package of the rates is.

    Raises
    ------
    ConfigError : the package with the rates is not installed.
    """
    return [day for day in read_days(config.universe.assets, first) if day.date <= LAST_DAY]


@dataclass
class Seen:
    """What was published: days with a full window, days with each peg in use, and what happened at the break."""

    windows: int = 0
    danish: int = 0
    floor_windows: int = 0
    swiss_under_floor: int = 0
    swiss_after_break: int = 0
    alerts_at_break: list[Alert] = field(default_factory=list)
    alerts_soon_after: int = 0
    alerts_ever: int = 0
    before_break: ResidualExposure | None = None
    at_break: ResidualExposure | None = None


def hedges_in_daily_rates(first: date) -> list[Comparison]:
    """EUR against DKK at all times, EUR against CHF while the franc had its floor, and the day it lost it."""
    config = demo_config()
    days = rates(config, first)
    seen = Seen()
    for outputs in replayed(config, _records(config, days)):
        _note(seen, outputs)
    span = f"{days[0].date} to {days[-1].date}, windows of {config.reversion.window_steps} days, through the engine"
    broken = [alert for alert in seen.alerts_at_break if alert.subject == SWISS]
    return [
        proportion(
            "EUR/DKK in use by `basis`, ECB daily rates",
            "windows",
            seen.danish,
            seen.windows,
            "at least 99",
            f"{span}; neighbouring windows share all but a day, so the interval is too narrow. One peg, the best kept "
            "there is: it shows nothing of others",
        ),
        proportion(
            f"EUR/CHF in use under the floor, {FLOOR[0]} to {FLOOR[1]}",
            "windows",
            seen.swiss_under_floor,
            seen.floor_windows,
            "at least 95",
            "neighbouring windows share all but a day",
        ),
        measure(
            f"EUR/CHF on {BREAK}: alerts that it broke, at that timestep",
            "raised",
            float(len(broken)),
            "alerts",
            "1",
            f"{broken[0].message if broken else 'none'}. {len(seen.alerts_at_break)} of its kind on that day, "
            f"{seen.alerts_soon_after} more until {AFTER_BREAK}, {seen.alerts_ever} in all; only what a book relies on "
            "raises one",
        ),
        measure(
            f"EUR/CHF on {BREAK}: packed lots of it, at that timestep",
            "packed",
            float(_packed_lots(seen.at_break)),
            "lots",
            "0",
            f"{_packed_lots(seen.before_break):,} the day before, {_state(seen.before_break)}; on the day "
            f"{_state(seen.at_break)}. In use on {seen.swiss_after_break} days from then to {AFTER_BREAK}",
        ),
    ]


def _records(config: Config, days: Sequence[Day]) -> Iterator[Record]:
    held = False
    for day in days:
        if held != (HELD_FROM <= day.date <= AFTER_BREAK):
            held = not held
            for asset, quantity in POSITION.items():
                level = Position(book=BOOK, asset=asset, quantity=quantity * held, event_time_ns=day.event_time_ns)
                yield record_of(level, POSITIONS, 0, day.event_time_ns)
        for tick in ticks_of(day, config):
            yield record_of(tick, TICKS, 0, day.event_time_ns)


def _note(seen: Seen, outputs: Sequence[Output]) -> None:
    for output in outputs:
        # A timestep ends at midnight, which still belongs to its day.
        day = datetime.fromtimestamp((output.event_time_ns - 1) // 1_000_000_000, UTC).date()
        match output:
            case Model():
                _note_model(seen, output, day)
            case Alert(kind="relationship-broken", state="raised"):
                seen.alerts_ever += 1
                if day == BREAK:
                    seen.alerts_at_break.append(output)
                elif BREAK < day <= AFTER_BREAK:
                    seen.alerts_soon_after += 1
            case ResidualExposure(book=book, trigger="timestep") if book == BOOK:
                if day < BREAK:
                    seen.before_break = output
                elif day == BREAK:
                    seen.at_break = output
            case _:
                pass


def _note_model(seen: Seen, model: Model, day: date) -> None:
    if not model.refitted_at_timestep:
        return  # no window was full yet
    in_use = {beta.beta_id for beta in model.betas if "basis" in beta.evidence}
    seen.windows += 1
    seen.danish += DANISH in in_use
    if FLOOR[0] <= day <= FLOOR[1]:
        seen.floor_windows += 1
        seen.swiss_under_floor += SWISS in in_use
    if BREAK <= day <= AFTER_BREAK:
        seen.swiss_after_break += SWISS in in_use


def _packed_lots(residual: ResidualExposure | None) -> int:
    return sum(abs(packed.multiples) for packed in residual.packed if packed.beta_id == SWISS) if residual else 0


def _state(residual: ResidualExposure | None) -> str:
    """The position, its residual, and the unhedged risk."""
    if residual is None or residual.unhedged_risk is None:
        return "not solved"
    held = _millions({row.asset: row.exposure for row in residual.positions})
    left = _millions({row.asset: row.residual for row in residual.positions})
    return f"of a position of {held} a residual of {left} and an unhedged risk of {residual.unhedged_risk:,.0f}"


def _millions(amounts: dict[str, float]) -> str:
    return ", ".join(f"{asset} {amounts[asset] / 1e6:+.1f} M" for asset in (LONG, SHORT))
