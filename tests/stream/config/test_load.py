"""The configuration: what is refused, with the key, what was expected and what was found."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from stream.config import Config, load_config
from stream.config.checks import check_allowed
from stream.errors import ConfigError


def test_a_valid_file_gives_its_values(desk_toml: str, config_path: Callable[[str], Path]) -> None:
    """Every value of the file is found, typed, under its key."""
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


def test_a_byte_order_mark_is_no_part_of_the_file(desk_toml: str, tmp_path: Path) -> None:
    """Editors on Windows put one in front of a file that they save as UTF-8."""
    path = tmp_path / "desk.toml"
    path.write_bytes(b"\xef\xbb\xbf" + desk_toml.encode())
    assert load_config(path).universe.assets == ("EUR", "CHF", "JPY")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_another_unicode_encoding_is_refused_with_what_to_do(desk_toml: str, tmp_path: Path, encoding: str) -> None:
    """TOML is UTF-8; the mark at the start tells which encoding the file has."""
    path = tmp_path / "desk.toml"
    path.write_bytes(("\ufeff" + desk_toml).encode(encoding))
    with pytest.raises(ConfigError, match="UTF-16, expected UTF-8; save it again as UTF-8"):
        load_config(path)


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


def test_the_state_hash_is_the_one_that_kept_snapshots_carry(desk: Config) -> None:
    """A snapshot of an earlier process belongs to the same configuration: only a changed value may change the hash."""
    assert desk.state_hash() == "2bc3534722f85b69"


def test_every_number_of_a_list_or_a_table_is_held_to_the_range_of_its_key(franchise: Config) -> None:
    """Sections in lists are found by their index, numbers in tables by their key; None is let through."""
    flows = franchise.flows[0]
    clients = msgspec.structs.replace(flows.clients[1], requests_per_day=(1.0, -1.0))
    for changed, message in (
        ({"clients": (flows.clients[0], clients)}, r"flows\[0\]\.clients\[1\]\.requests_per_day must be from 0"),
        ({"impact_bps_per_million": {"EUR": 1.0, "JPY": -1.0}}, r"impact_bps_per_million\.JPY must be from 0 to 10000"),
    ):
        with pytest.raises(ConfigError, match=message):
            check_allowed(msgspec.structs.replace(franchise, flows=(msgspec.structs.replace(flows, **changed),)))
    check_allowed(msgspec.structs.replace(franchise, flows=(msgspec.structs.replace(flows, risk_aversion=None),)))


def test_importing_the_configuration_loads_no_numerics() -> None:
    """Commands that compute nothing start at once."""
    script = "import sys, stream.config; sys.exit(', '.join({'numba', 'numpy', 'scipy'} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (0, "")
