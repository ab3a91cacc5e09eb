"""The configuration: what is refused, and that the refusal says which key, what was expected and what came."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from schemas.outbound import ReversionMethod
from solver.reversion.vector import METHODS
from stream.config import Config, ReversionConfig, check_config, load_config
from stream.engine.step import Engine
from stream.errors import ConfigError


def test_a_valid_file_gives_its_values(desk_toml: str, config_path: Callable[[str], Path]) -> None:
    """Every value of the file arrives, typed, under its key."""
    config = load_config(config_path(desk_toml))
    assert config.universe.assets == ("EUR", "CHF", "JPY")
    assert config.universe.timestep_ns == 1_000_000_000
    assert config.instruments[1].legs == {"USD": 1.0}
    assert config.instruments[1].fee_bps == 0.1
    assert [book.name for book in config.books] == ["spot", "options"]
    assert config.books[1].instruments == ("EURUSD", "USDJPY")
    assert config.reversion.window_steps == 60


def test_what_is_left_out_takes_its_default(desk_toml: str, config_path: Callable[[str], Path]) -> None:
    """A key that the file leaves out has the default of this module, and a whole section can be left out."""
    config = load_config(config_path(desk_toml))
    assert config.universe.allowed_lateness_s == 0.0
    assert config.universe.idle_after_s is None
    assert config.universe.feed_silent_after_s == 10.0
    assert config.books[0].target_share == 0.8
    assert config.books[0].clear_share == 0.95
    assert config.books[0].instruments == ()
    assert config.solver.objective == "volume"
    assert config.solver.mode == "inside"
    assert config.risk.horizon_steps == 10
    assert config.books[0].limit_on == "timestep"
    assert config.kafka.bootstrap == "127.0.0.1:9092"
    assert config.kafka.security_protocol == "PLAINTEXT"
    assert config.topics.prefix == ""
    assert config.snapshot.every_s == 5.0
    assert (config.metrics.host, config.metrics.port) == ("127.0.0.1", 9464)


def test_a_missing_file_is_named_with_the_option_that_names_it(tmp_path: Path) -> None:
    """A path that cannot be read gives a ConfigError with the path, the system's reason and the next step."""
    path = tmp_path / "nowhere.toml"
    with pytest.raises(ConfigError, match="No such file or directory") as caught:
        load_config(path)
    assert str(path) in str(caught.value)
    assert "--config" in str(caught.value)
    assert caught.value.exit_code == 2


def test_a_directory_is_refused_like_a_missing_file(tmp_path: Path) -> None:
    """Whatever keeps the file from being read is a ConfigError."""
    with pytest.raises(ConfigError, match="directory"):
        load_config(tmp_path)


def test_what_is_not_toml_is_said_to_be_so(config_path: Callable[[str], Path]) -> None:
    """A file that does not parse names the file and the line."""
    with pytest.raises(ConfigError, match=r"is not TOML: .*line 2"):
        load_config(config_path("[universe]\nname = = 3\n"))


def test_bytes_that_are_not_text_are_said_to_be_so(tmp_path: Path) -> None:
    """TOML is UTF-8; another encoding is an error of the configuration, not a traceback."""
    path = tmp_path / "latin.toml"
    path.write_bytes(b'[universe]\nname = "Z\xfcrich"\n')
    with pytest.raises(ConfigError, match="is not TOML"):
        load_config(path)


@pytest.mark.parametrize(
    ("old", "new", "key", "words"),
    [
        ("timestep_s = 1.0", 'timestep_s = "1"', "universe.timestep_s", ("float", "str")),
        ("timestep_s = 1.0", "timestep_s = 1.0\ntimestep = 2", "universe", ("unknown field", "timestep")),
        ("max_price_age_s = 5.0", "", "universe", ("missing required field", "max_price_age_s")),
        ("limit = 900.0", "limit = true", "books[0].limit", ("float", "bool")),
        ("limit = 500.0", "limit = 500.0\nlimt = 3", "books[1]", ("unknown field", "limt")),
        ("lot_notional = 1_000_000.0", 'lot_notional = 1.0\nobjective = "risk"', "solver.objective", ("'risk'",)),
        ("half_life_steps = 20.0", 'half_life_steps = 20.0\nkind = "flat"', "covariance.kind", ("'flat'",)),
        ("max_legs = 2", "max_legs = 2.5", "reversion.max_legs", ("int", "float")),
        ("max_legs = 2", 'max_legs = 2\nmethods = ["lasso"]', "reversion.methods[0]", ("'lasso'",)),
        ("[solver]", "[kafka]\npassword = 'x'\n[solver]", "kafka", ("unknown field", "password")),
        ("limit = 900.0", 'limit = 900.0\nlimit_on = "day"', "books[0].limit_on", ("'day'", "timestep, horizon")),
        ("[solver]", "[risk]\nhorizon_steps = 2.5\n[solver]", "risk.horizon_steps", ("int", "float")),
        ("[solver]", "[metricz]\n[solver]", "", ("unknown field", "metricz")),
    ],
)
def test_a_wrong_type_or_an_unknown_key_is_refused_with_its_path(
    desk_toml: str, config_path: Callable[[str], Path], old: str, new: str, key: str, words: tuple[str, ...]
) -> None:
    """Types and names are checked before anything else; the message starts with the file and the key."""
    assert old in desk_toml
    path = config_path(desk_toml.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: {key}")
    for word in words:
        assert word in message


EURUSD_ONLY = 'name = "EURUSD"\nlegs = { EUR = 1.0 }'


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "fx"', 'name = ""', "universe.name must be a name without '#', got ''"),
        ('name = "fx"', 'name = "fx#1.0"', "universe.name must be a name without '#', got 'fx#1.0'"),
        (
            'assets = ["EUR", "CHF", "JPY"]',
            'assets = ["EUR"]',
            "universe.assets must be at least two assets, for a β to combine, got ['EUR']",
        ),
        (
            'assets = ["EUR", "CHF", "JPY"]',
            'assets = ["EUR", "CHF", "EUR"]',
            "universe.assets must be distinct names, got 'EUR'",
        ),
        (
            'assets = ["EUR", "CHF", "JPY"]',
            'assets = ["EUR", "USD"]',
            "universe.assets must be assets other than the numeraire USD, got 'USD'",
        ),
        ("timestep_s = 1.0", "timestep_s = 0.0", "universe.timestep_s must be > 0, got 0.0"),
        ("timestep_s = 1.0", "timestep_s = nan", "universe.timestep_s must be > 0, got nan"),
        ("timestep_s = 1.0", "timestep_s = inf", "universe.timestep_s must be at most 1e+09, got inf"),
        ("timestep_s = 1.0", "timestep_s = 1e-10", "universe.timestep_s must be at least one nanosecond, got 1e-10"),
        ("max_price_age_s = 5.0", "max_price_age_s = -5.0", "universe.max_price_age_s must be > 0, got -5.0"),
        (
            "max_price_age_s = 5.0",
            "max_price_age_s = 5.0\nallowed_lateness_s = -1.0",
            "universe.allowed_lateness_s must be >= 0, got -1.0",
        ),
        (
            "max_price_age_s = 5.0",
            "max_price_age_s = 5.0\nfeed_silent_after_s = 0.0",
            "universe.feed_silent_after_s must be > 0, got 0.0",
        ),
        (
            "max_price_age_s = 5.0",
            "max_price_age_s = 5.0\nmax_event_time_ahead_s = -0.5",
            "universe.max_event_time_ahead_s must be >= 0, got -0.5",
        ),
        (
            "max_price_age_s = 5.0",
            "max_price_age_s = 5.0\nidle_after_s = 0.0",
            "universe.idle_after_s must be > 0, got 0.0",
        ),
        ('name = "USDJPY"', 'name = "EURUSD"', "instruments.name must be distinct names, got 'EURUSD'"),
        (
            'quote = "USD"\nlot = 1_000_000.0',
            'quote = "USD"\nlot = 0.0',
            "instruments[0].lot must be > 0, got 0.0",
        ),
        ("fee_bps = 0.1", "fee_bps = -0.1", "instruments[1].fee_bps must be >= 0, got -0.1"),
        ("legs = { EUR = 1.0 }", "legs = {}", "instruments[0].legs must be at least one leg, got {}"),
        (
            "legs = { EUR = 1.0 }",
            "legs = { GBP = 1.0 }",
            "instruments[0].legs must be assets of the universe or USD, got 'GBP'",
        ),
        (
            "legs = { EUR = 1.0 }",
            "legs = { EUR = 0.0 }",
            "instruments[0].legs.EUR must be a finite number other than 0, got 0.0",
        ),
        (
            "legs = { EUR = 1.0 }",
            "legs = { EUR = nan }",
            "instruments[0].legs.EUR must be a finite number other than 0, got nan",
        ),
        (
            "legs = { EUR = 1.0 }",
            "legs = { EUR = -1.0 }",
            "instruments[0].legs must be a long leg, since it prices EUR, got {'EUR': -1.0}",
        ),
        (
            'quote = "USD"',
            'quote = "GBP"',
            "instruments[0].quote must be an asset of the universe or USD, got 'GBP'",
        ),
        ('quote = "USD"', 'quote = "EUR"', "instruments[0].quote must be another asset than the only leg, got 'EUR'"),
        (
            'legs = { USD = 1.0 }\nquote = "JPY"',
            'legs = { USD = 1.0, EUR = 1.0 }\nquote = "JPY"',
            "instruments must be one of a single leg that prices JPY against USD, or a chain of such ones, "
            "got 'none among them'",
        ),
        ('name = "spot"', 'name = ""', "books[0].name must be a name, got ''"),
        ('name = "options"', 'name = "spot"', "books.name must be distinct names, got 'spot'"),
        ("limit = 900.0", "limit = 0.0", "books[0].limit must be > 0, got 0.0"),
        (
            "limit = 900.0",
            "limit = 900.0\ntarget_share = 0.0",
            "books[0].target_share must be a number above 0 and at most 1, got 0.0",
        ),
        (
            "limit = 900.0",
            "limit = 900.0\ntarget_share = 1.1",
            "books[0].target_share must be a number above 0 and at most 1, got 1.1",
        ),
        (
            "limit = 900.0",
            "limit = 900.0\nclear_share = 0.7",
            "books[0].clear_share must be a number from target_share 0.8 to 1, got 0.7",
        ),
        (
            "limit = 900.0",
            "limit = 900.0\nclear_share = 1.5",
            "books[0].clear_share must be a number from target_share 0.8 to 1, got 1.5",
        ),
        ("max_lots = 2", "max_lots = 0", "books[1].max_lots must be >= 1, got 0"),
        (
            '["EURUSD", "USDJPY"]',
            '["EURUSD", "EURUSD"]',
            "books[1].instruments must be distinct names, got 'EURUSD'",
        ),
        ('["EURUSD", "USDJPY"]', '["GBPUSD"]', "books[1].instruments must be names of instruments, got 'GBPUSD'"),
        ("half_life_steps = 20.0", "half_life_steps = 0.0", "covariance.half_life_steps must be > 0, got 0.0"),
        ("half_life_steps = 20.0", "window_steps = 1", "covariance.window_steps must be >= 2, got 1"),
        ("min_observations = 20", "min_observations = 1", "covariance.min_observations must be >= 2, got 1"),
        (
            "half_life_steps = 20.0",
            'kind = "window"\nwindow_steps = 10',
            "covariance.min_observations must be at most covariance.window_steps 10, got 20",
        ),
        ("half_life_steps = 20.0", "slow_ticks = 1", "covariance.slow_ticks must be >= 2, got 1"),
        (
            "half_life_steps = 20.0",
            'kind = "hayashi-yoshida"',
            "covariance.shrinkage must be none, oas or nonlinear with covariance.kind hayashi-yoshida, "
            "got 'ledoit-wolf'",
        ),
        (
            'shrinkage = "ledoit-wolf"',
            'shrinkage = "nonlinear"',
            "covariance.min_observations (with shrinkage nonlinear) must be >= 24, got 20",
        ),
        (
            'half_life_steps = 20.0\nshrinkage = "ledoit-wolf"\nmin_observations = 20',
            'half_life_steps = 11.0\nshrinkage = "nonlinear"\nmin_observations = 24',
            "covariance.half_life_steps (with shrinkage nonlinear) must be >= 12, got 11.0",
        ),
        (
            "half_life_steps = 20.0",
            "sampling_steps = [10, 60]",
            "covariance.sampling_steps must be whole numbers from 1 on, 1 among them, got [10, 60]",
        ),
        (
            "half_life_steps = 20.0",
            "sampling_steps = [1, 0]",
            "covariance.sampling_steps must be whole numbers from 1 on, 1 among them, got [1, 0]",
        ),
        (
            "half_life_steps = 20.0",
            "sampling_steps = [1, 60, 60]",
            "covariance.sampling_steps must be distinct numbers, got 60",
        ),
        (
            "max_legs = 2",
            "max_legs = 2\nmethods = []",
            "reversion.methods must be at least one of sparse, pca, ica, johansen, ou, box_tiao, baskets, got []",
        ),
        (
            "max_legs = 2",
            'max_legs = 2\nmethods = ["pca", "pca"]',
            "reversion.methods must be distinct names, got 'pca'",
        ),
        (
            "max_legs = 2",
            "max_legs = 2\nbasis_horizon_steps = 0",
            "reversion.basis_horizon_steps must be >= 1, got 0",
        ),
        (
            "max_legs = 2",
            "max_legs = 2\nbasis_horizon_steps = 6",
            "reversion.holdout_steps must be >= 24, got 20",
        ),
        ("max_legs = 2", "max_legs = 2\nlags = 0", "reversion.lags must be >= 1, got 0"),
        ("window_steps = 60", "window_steps = 38", "reversion.window_steps must be >= 39, got 38"),
        (
            "max_legs = 2",
            "max_legs = 2\nbasis_ratio_max = 0.0",
            "reversion.basis_ratio_max must be a number between 0 and 1, got 0.0",
        ),
        (
            "max_legs = 2",
            "max_legs = 2\nbasis_ratio_max = 1.0",
            "reversion.basis_ratio_max must be a number between 0 and 1, got 1.0",
        ),
        (
            "max_legs = 2",
            "max_legs = 2\nhalf_life_max_steps = 1.0",
            "reversion.half_life_max_steps must be above reversion.half_life_min_steps 1.0, got 1.0",
        ),
        (
            "max_legs = 2",
            "max_legs = 2\nhalf_life_min_steps = -1.0",
            "reversion.half_life_min_steps must be >= 0, got -1.0",
        ),
        (
            "max_legs = 2",
            "max_legs = 2\nbasis_confidence = 0.0",
            "reversion.basis_confidence must be a number between 0 and 1, got 0.0",
        ),
        (
            "max_legs = 2",
            "max_legs = 2\nswitching_penalty = 1.0",
            "reversion.switching_penalty must be at least 0 and below 1, got 1.0",
        ),
        (
            "max_legs = 2",
            "max_legs = 2\nfalse_alarm_steps = 1.0",
            "reversion.false_alarm_steps must be a number above 1, got 1.0",
        ),
        (
            "max_legs = 2",
            "max_legs = 2\nfalse_discovery_rate = 1.0",
            "reversion.false_discovery_rate must be a number between 0 and 1, got 1.0",
        ),
        ("max_legs = 2", "max_legs = 4", "reversion.max_legs must be 2 or 3, got 4"),
        ("max_legs = 2", "max_legs = 2\nmax_vectors = 0", "reversion.max_vectors must be >= 1, got 0"),
        (
            "max_legs = 2",
            "max_legs = 2\nrefit_every_steps = 0",
            "reversion.refit_every_steps must be >= 1, got 0",
        ),
        (
            "max_legs = 2",
            "max_legs = 2\nrefit_every_steps = 5\nrefit_lag_steps = 6",
            "reversion.refit_lag_steps must be from 0 to reversion.refit_every_steps 5, got 6",
        ),
        (
            "max_legs = 2",
            "max_legs = 2\nrefit_lag_steps = -1",
            "reversion.refit_lag_steps must be from 0 to reversion.refit_every_steps 1, got -1",
        ),
        (
            "lot_notional = 1_000_000.0",
            "lot_notional = 0.0",
            "solver.lot_notional must be > 0, got 0.0",
        ),
        (
            "lot_notional = 1_000_000.0",
            "lot_notional = 1.0\nmax_packing_nodes = 0",
            "solver.max_packing_nodes must be > 0, got 0",
        ),
        (
            "lot_notional = 1_000_000.0",
            "lot_notional = 1.0\nmax_timestep_nodes = 0",
            "solver.max_timestep_nodes must be > 0, got 0",
        ),
        ("[solver]", "[risk]\nhorizon_steps = 0\n[solver]", "risk.horizon_steps must be >= 1, got 0"),
        (
            "[solver]",
            "[risk]\nhorizon_steps = 1_000_001\n[solver]",
            "risk.horizon_steps must be at most 1e+06, got 1000001",
        ),
        (
            "lot_notional = 1_000_000.0",
            "lot_notional = 1.0\nthreads = 0",
            "solver.threads must be > 0, got 0",
        ),
        (
            "lot_notional = 1_000_000.0",
            "lot_notional = 1.0\nmax_hedge_nodes = 0",
            "solver.max_hedge_nodes must be > 0, got 0",
        ),
        (
            "lot_notional = 1_000_000.0",
            "lot_notional = 1.0\nhedge_cost_resolution = -1.0",
            "solver.hedge_cost_resolution must be >= 0, got -1.0",
        ),
        ("max_lots = 4", "max_lots = 4\nmax_trades = 0", "books[0].max_trades must be >= 1, got 0"),
        (
            "fee_bps = 0.1",
            "impact_sqrt_bps = -0.1",
            "instruments[1].impact_sqrt_bps must be >= 0, got -0.1",
        ),
        (
            "fee_bps = 0.1",
            "impact_linear_bps = 0.1",
            "instruments[1].available_lots must be > 0 where there is an impact, got None",
        ),
        ("fee_bps = 0.1", "available_lots = 0.0", "instruments[1].available_lots must be > 0, got 0.0"),
        (
            "lot_notional = 1_000_000.0",
            "lot_notional = 1.0\ndeadline_ms = 0.0",
            "solver.deadline_ms must be > 0, got 0.0",
        ),
        ("[solver]", "[snapshot]\nevery_s = 0.0\n[solver]", "snapshot.every_s must be > 0, got 0.0"),
        ("[solver]", "[hedging]\nmin_life_s = -1.0\n[solver]", "hedging.min_life_s must be >= 0, got -1.0"),
        (
            "[solver]",
            "[hedging]\nexpiry_s = 2.0\n[solver]",
            "hedging.expiry_s must be above hedging.min_life_s 2, got 2.0",
        ),
        ("[solver]", "[hedging]\nin_flight_max_s = 0.0\n[solver]", "hedging.in_flight_max_s must be > 0, got 0.0"),
        (
            "[solver]",
            "[hedging]\nrejection_pause_s = -1.0\n[solver]",
            "hedging.rejection_pause_s must be >= 0, got -1.0",
        ),
        (
            "[solver]",
            "[hedging]\nrejection_pause_s = 1e10\n[solver]",
            "hedging.rejection_pause_s must be at most 1e+09, got 10000000000.0",
        ),
        ("[solver]", "[hedging]\nmaterial_share = -0.1\n[solver]", "hedging.material_share must be >= 0, got -0.1"),
        (
            "[solver]",
            "[hedging]\nramp_share = 0.0\n[solver]",
            "hedging.ramp_share must be a number above 0 and at most 1, got 0.0",
        ),
        ("[solver]", "[topics]\nreplication = 0\n[solver]", "topics.replication must be >= 1, got 0"),
        (
            "[solver]",
            '[topics]\nprefix = "a b"\n[solver]',
            "topics.prefix must be at most 200 letters, digits, '.', '_' and '-', got 'a b'",
        ),
        (
            "[solver]",
            "[metrics]\nport = 65536\n[solver]",
            "metrics.port must be a port from 0 to 65535, got 65536",
        ),
        ("[solver]", "[metrics]\nport = -1\n[solver]", "metrics.port must be a port from 0 to 65535, got -1"),
    ],
)
def test_what_types_cannot_say_is_refused_with_key_expected_and_got(
    desk_toml: str, config_path: Callable[[str], Path], old: str, new: str, message: str
) -> None:
    """Each rule between keys and each range is held at start, and the message says what to write instead."""
    assert old in desk_toml
    with pytest.raises(ConfigError) as caught:
        load_config(config_path(desk_toml.replace(old, new, 1)))
    assert str(caught.value) == message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "franchise"', 'name = ""', r"flows\[0\]\.name must be a name, got ''"),
        (
            'flows = "franchise"',
            'flows = "other"',
            r"books\[0\]\.flows must be the name of a flow, got 'other'",
        ),
        (
            'flows = "franchise"',
            'band = "internalise"',
            r"books\[0\]\.flows must be the name of a flow where band is internalise, got None",
        ),
        (
            'flows = "franchise"',
            'flows = "franchise"\nband = "internalise"\nlimit_on = "horizon"',
            r"books\[0\]\.limit_on must be timestep where band is internalise, got 'horizon'",
        ),
        (
            'flows = "franchise"',
            'flows = "franchise"\nlimit_on = "horizon"',
            r"books\[0\]\.limit_on must be timestep where the limit is the risk aversion of franchise, got 'horizon'",
        ),
        (
            'flows = "franchise"',
            'flows = "franchise"\ninstruments = ["EURUSD"]',
            r"books\[0\]\.instruments must be among them every market of franchise, got \['EURUSD'\]",
        ),
        (
            '{ instrument = "EURUSD", eta',
            '{ instrument = "GBPUSD", eta',
            r"flows\[0\]\.markets\[0\]\.instrument must be the name of an instrument, got 'GBPUSD'",
        ),
        (
            '{ instrument = "USDJPY", eta',
            '{ instrument = "EURUSD", eta',
            r"flows\[0\]\.markets\.instrument must be distinct names, got 'EURUSD'",
        ),
        (
            '[[instruments]]\nname = "EURCHF"\nlegs = { EUR = 1.0 }',
            '[[instruments]]\nname = "EURCHF"\nlegs = { EUR = 1.0, JPY = 1.0 }',
            r"flows\[0\]\.clients\[3\]\.instrument must be one of a single leg, got 'EURCHF'",
        ),
        (
            "sizes = [1e6, 5e6]",
            "sizes = []",
            r"flows\[0\]\.clients\[0\]\.sizes must be at least one size, got \[\]",
        ),
        (
            "sizes = [1e6, 5e6]",
            "sizes = [1e6, 0]",
            r"flows\[0\]\.clients\[0\]\.sizes must be from 1e-06 to 1e\+15, got 0",
        ),
        (
            "requests_per_day = [9000, 5400]",
            "requests_per_day = [9000]",
            r"flows\[0\]\.clients\[0\]\.requests_per_day must be 2 numbers, as sizes, got \(9000\.0,\)",
        ),
        (
            "requests_per_day = [9000, 5400]",
            "requests_per_day = [9000, -1]",
            r"flows\[0\]\.clients\[0\]\.requests_per_day must be from 0 to 1e\+09, got -1",
        ),
        ("alpha = -1.9", "alpha = nan", r"flows\[0\]\.clients\[0\]\.alpha must be from -100 to 100, got nan"),
        (
            "beta_per_bp = 11.0",
            "beta_per_bp = 0",
            r"flows\[0\]\.clients\[0\]\.beta_per_bp must be from 1e-06 to 1e\+06, got 0",
        ),
        (
            'requests_per_day = [8200], alpha = -1.6, beta_per_bp = 9.0 },\n    { instrument = "EURCHF"',
            'requests_per_day = [0], alpha = -1.6, beta_per_bp = 9.0 },\n    { instrument = "EURCHF"',
            r"flows\[0\]\.clients must be such that someone deals in every asset, got \"nobody in \['JPY'\]\"",
        ),
        (
            "eta_bps_per_million_a_day = 1e-5",
            "eta_bps_per_million_a_day = 0",
            r"flows\[0\]\.markets\[0\]\.eta_bps_per_million_a_day must be from 1e-12 to 1e\+06, got 0",
        ),
        (
            "half_spread_bps = 0.5",
            "half_spread_bps = -0.5",
            r"flows\[0\]\.markets\[2\]\.half_spread_bps must be from 1e-06 to 10000, got -0\.5",
        ),
        (
            'name = "franchise"',
            'name = "franchise"\nrisk_aversion = 0.0',
            r"flows\[0\]\.risk_aversion must be from 1e-30 to 1e\+06, got 0",
        ),
        (
            'name = "franchise"',
            'name = "franchise"\nmaterial_share = 0.0',
            r"flows\[0\]\.material_share must be > 0, got 0",
        ),
        (
            'name = "franchise"',
            'name = "franchise"\nimpact_bps_per_million = { GBP = 1.0 }',
            r"flows\[0\]\.impact_bps_per_million must be assets of the universe, got 'GBP'",
        ),
        (
            'name = "franchise"',
            'name = "franchise"\nimpact_bps_per_million = { EUR = -1.0 }',
            r"flows\[0\]\.impact_bps_per_million\.EUR must be from 0 to 10000, got -1",
        ),
        (
            "alpha = -1.9",
            'side = "sell", alpha = -1.9',
            r"flows\[0\]\.risk_aversion must be given where clients\[0\] deal on one side alone, got None",
        ),
        (
            "alpha = -1.9",
            'side = "sells", alpha = -1.9',
            r"flows\[0\]\.clients\[0\]\.side: Invalid enum value 'sells', expected one of both, buy, sell",
        ),
        ("alpha = -1.9", "alpha = 1e3", r"flows\[0\]\.clients\[0\]\.alpha must be from -100 to 100, got 1000"),
        ("sizes = [1e6, 5e6]", "sizes = [1e6, 1e300]", r"flows\[0\]\.clients\[0\]\.sizes must be from .*, got 1e\+300"),
        ("alpha = -1.9", 'alpha = "low"', r"flows\[0\]\.clients\[0\]\.alpha: Expected `float`, got `str`"),
        ("beta_per_bp = 11.0", "beta_per_bp = 11.0, gamma = 1", r"flows\[0\]\.clients\[0\]: .*unknown field `gamma`"),
    ],
)
def test_a_flow_that_cannot_be_is_refused_with_key_expected_and_got(
    franchise_toml: str, config_path: Callable[[str], Path], old: str, new: str, message: str
) -> None:
    """Clients, markets, and the books that refer to them: each at start, by its key."""
    assert old in franchise_toml
    load_config(config_path(franchise_toml))
    text = franchise_toml.replace(old, new, 1)
    with pytest.raises(ConfigError, match=message):
        load_config(config_path(text))


def test_no_book_is_refused(desk_toml: str, config_path: Callable[[str], Path]) -> None:
    """A service without a book would publish nothing that anyone waits for."""
    head, _, rest = desk_toml.partition("[[books]]")
    text = "books = []\n" + head + "[covariance]" + rest.partition("[covariance]")[2]
    with pytest.raises(ConfigError, match=r"books must be at least one book, got \[\]"):
        load_config(config_path(text))


def test_an_asset_may_be_priced_by_a_chain(desk_toml: str, config_path: Callable[[str], Path]) -> None:
    """The franc over EURCHF and EURUSD alone will do, the yen against the franc then too."""
    basket = 'legs = { USD = 1.0, EUR = 1.0 }\nquote = "CHF"'
    text = desk_toml.replace('legs = { USD = 1.0 }\nquote = "CHF"', basket, 1)
    load_config(config_path(text.replace('legs = { USD = 1.0 }\nquote = "JPY"', 'legs = { CHF = 1.0 }\nquote = "JPY"')))


def test_a_covariance_from_ticks_needs_ticks_of_every_asset(desk_toml: str, config_path: Callable[[str], Path]) -> None:
    """An asset that only a chain of crosses prices has a covariance from timesteps, and none from ticks."""
    toml = desk_toml.replace('legs = { USD = 1.0 }\nquote = "JPY"', 'legs = { EUR = 1.0 }\nquote = "JPY"')
    load_config(config_path(toml))
    with pytest.raises(ConfigError, match=r"prices JPY against USD directly, with covariance\.kind hayashi-yoshida"):
        load_config(
            config_path(toml.replace('shrinkage = "ledoit-wolf"', 'kind = "hayashi-yoshida"\nshrinkage = "oas"'))
        )


def test_every_method_of_the_solver_can_be_configured() -> None:
    """The configuration and the messages name the solver's methods, no more and no fewer."""
    assert set(get_args(ReversionMethod)) == set(METHODS)


def test_what_is_accepted_can_be_run(desk: Config) -> None:
    """The least windows that the configuration accepts are enough for every estimator that it names."""
    reversion = ReversionConfig(
        methods=METHODS, window_steps=23, holdout_steps=4, max_legs=3, false_discovery_rate=0.01
    )
    config = msgspec.structs.replace(desk, reversion=reversion)
    check_config(config)
    Engine(config).new_state()


def test_the_state_hash_changes_with_what_gives_a_state_its_meaning(desk: Config) -> None:
    """Books, limits and effort may change over a restart; universe, instruments and estimators may not."""

    def replaced(**changes: object) -> str:
        return msgspec.structs.replace(desk, **changes).state_hash()

    def changed(section: str, **changes: object) -> str:
        return replaced(**{section: msgspec.structs.replace(getattr(desk, section), **changes)})

    kept = desk.state_hash()
    assert kept == msgspec.structs.replace(desk).state_hash()
    assert changed("solver", lot_notional=5.0) == kept
    assert changed("snapshot", every_s=1.0) == kept
    assert replaced(books=desk.books[:1]) == kept
    different = {
        changed("universe", timestep_s=2.0),
        changed("universe", assets=("CHF", "EUR", "JPY")),
        changed("covariance", half_life_steps=21.0),
        changed("reversion", window_steps=61),
        replaced(instruments=desk.instruments[::-1]),
    }
    assert kept not in different
    assert len(different) == 5


@pytest.mark.parametrize(("lengths", "most"), [((1,), 836), ((1, 5, 60), 482)])
def test_more_assets_than_a_model_can_say_in_one_record_are_refused(
    desk: Config, lengths: tuple[int, ...], most: int
) -> None:
    """At start, with the keys that decide it, and not by a publish that fails once the covariance is known."""
    names = tuple(f"A{place}" for place in range(most + 1))
    quoted = tuple(
        msgspec.structs.replace(desk.instruments[0], name=f"{name}USD", legs={name: 1.0}, quote="USD") for name in names
    )
    for count in (most, most + 1):
        config = msgspec.structs.replace(
            desk,
            universe=msgspec.structs.replace(desk.universe, assets=names[:count]),
            instruments=quoted[:count],
            books=(msgspec.structs.replace(desk.books[0], instruments=()),),
            covariance=msgspec.structs.replace(desk.covariance, sampling_steps=lengths),
            reversion=msgspec.structs.replace(desk.reversion, window_steps=10_000),
        )
        if count == most:
            check_config(config)
            continue
        with pytest.raises(ConfigError, match=rf"universe.assets must be at most {most} with {len(lengths)} cov"):
            check_config(config)
