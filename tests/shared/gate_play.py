"""A gate on its own: universes of a few pairs, quotes from random walks, and what it says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from stream.config import BookConfig, Config, InstrumentConfig, PlausibilityConfig, SolverConfig, UniverseConfig
from stream.engine.market.plausibility.gate import Doubt, Gate, Screened
from stream.engine.market.plausibility.state import GateState, new_gate_state
from stream.events.types import Timestep

SECOND = 1_000_000_000
HALF_SPREAD = 2e-5
MOVE = 1e-4

Pair = tuple[str, str] | tuple[str, str, str]


def universe(*pairs: Pair, timestep_s: float = 1.0, **settings: float | bool) -> Config:
    """Instruments (base, quote) or (base, quote, venue), named by them, valued in USD."""
    currencies = dict.fromkeys(each for pair in pairs for each in pair[:2])
    return Config(
        universe=UniverseConfig(
            name="gate",
            numeraire="USD",
            assets=tuple(each for each in currencies if each != "USD"),
            timestep_s=timestep_s,
            max_price_age_s=10.0 * timestep_s,
        ),
        instruments=tuple(
            InstrumentConfig(
                name=pair[0] + pair[1] + ("@" + pair[2] if len(pair) > 2 else ""),
                legs={pair[0]: 1.0},
                quote=pair[1],
                lot=1e5,
                venue=pair[2] if len(pair) > 2 else "",
            )
            for pair in pairs
        ),
        books=(BookConfig(name="book", limit=1.0),),
        solver=SolverConfig(lot_notional=1e5),
        plausibility=PlausibilityConfig(**settings),  # type: ignore[arg-type]
    )


@dataclass
class GatePlay:
    """The gate of `config`, and its quotes as they stand."""

    config: Config
    gate: Gate = field(init=False)
    state: GateState = field(init=False)
    mids: np.ndarray = field(init=False)
    at_ns: np.ndarray = field(init=False)
    step: int = 0
    feeds: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        m = len(self.config.instruments)
        self.gate, self.state = Gate(self.config), new_gate_state(m)
        self.mids, self.at_ns = np.full(m, np.nan), np.zeros(m, dtype=np.int64)

    def quote(self, mids: Mapping[int, float] | Sequence[float], skip: int = 0, half: float = HALF_SPREAD) -> Screened:
        """The next timestep, or a later one, in which these instruments quote; the others stay silent."""
        self.step += 1 + skip
        end_ns = self.step * self.config.universe.timestep_ns
        for index, mid in mids.items() if isinstance(mids, Mapping) else enumerate(mids):
            self.mids = np.where(np.arange(len(self.mids)) == index, mid, self.mids)
            self.at_ns = np.where(np.arange(len(self.mids)) == index, end_ns, self.at_ns)
        timestep = Timestep(
            self.step, end_ns, self.mids * (1 - half), self.mids * (1 + half), self.at_ns, feeds=self.feeds
        )
        return self.gate.screen(self.state, timestep)

    def copy(self) -> GatePlay:
        """Another one that goes its own way."""
        other = replace(self, feeds=dict(self.feeds))
        other.state = replace(self.state, usual=replace(self.state.usual), ended=dict(self.state.ended))
        other.mids, other.at_ns, other.step = self.mids, self.at_ns, self.step
        return other


def walk(config: Config, steps: int, seed: int = 1, move: float = MOVE) -> np.ndarray:
    """(steps, m) mids of all instruments from walks of the currencies, so that all crosses agree."""
    rng = np.random.default_rng(seed)
    start = {"USD": 1.0, "EUR": 1.1, "CHF": 1.25, "JPY": 0.0067, "GBP": 1.3}
    logs = {
        name: np.log(value) + (name != "USD") * np.cumsum(rng.normal(0.0, move, steps)) for name, value in start.items()
    }
    return np.exp(np.column_stack([logs[next(iter(each.legs))] - logs[each.quote] for each in config.instruments]))


def warmed_up(config: Config, steps: int = 100, seed: int = 1) -> GatePlay:
    """After `steps` timesteps of `walk` in which every instrument quotes."""
    play = GatePlay(config)
    for row in walk(config, steps, seed):
        assert not play.quote(row.tolist()).doubts
    return play


def held(screened: Screened) -> list[int]:
    """Instruments with an alert about a jump that stands."""
    return [doubt.instrument for doubt in screened.doubts if doubt.kind == "price-suspect" and doubt.holds]


def said(screened: Screened, instrument: int) -> Doubt:
    (doubt,) = (each for each in screened.doubts if each.instrument == instrument)
    return doubt
