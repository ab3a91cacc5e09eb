"""`betapack validate` as a user runs it: files in, files out, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from command_line import betapack_each

pytest.importorskip("matplotlib", reason="matplotlib is not installed (pip install '.[report]')")


def betapack(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stream.cli", "validate", *arguments],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        cwd=folder,
        env={**__import__("os").environ, "PYTHONPATH": str(Path(__file__).parents[4])},
    )


def price_file(folder: Path, growth: float) -> Path:
    """Three assets over 300 days, two of which go together; `growth` of volatility a day."""
    chance = np.random.default_rng(1)
    returns = chance.normal(0.0, 0.01, (300, 3))
    returns[:, 1] = returns[:, 0] + chance.normal(0.0, 0.002, 300)
    prices = 100.0 * np.exp(np.cumsum(returns * growth ** np.arange(300)[:, None], axis=0))
    days = np.datetime64("2015-01-01") + np.arange(300)
    lines = [f"{day},{','.join(f'{price:.6f}' for price in row)}" for day, row in zip(days, prices, strict=True)]
    path = folder / "prices.csv"
    path.write_text("day,EUR,CHF,JPY\n" + "\n".join(lines) + "\n")
    return path


@pytest.mark.slow
def test_a_right_run(tmp_path: Path, desk_toml: str) -> None:
    """Table on stdout, progress on stderr, report and figures in the files named; the desk's settings are used; 0."""
    (tmp_path / "desk.toml").write_text(desk_toml.replace('shrinkage = "ledoit-wolf"', 'shrinkage = "none"'))
    path = price_file(tmp_path, 1.0)
    ended = betapack(
        tmp_path, str(path), "--config", "desk.toml", "--output", "out.html", "--json", "out.json", "--seed", "3"
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.startswith("nothing was found that does not hold")
    assert "QLIKE" in ended.stdout
    assert "300 rows of 3 assets" in ended.stderr
    assert "300 rows" not in ended.stdout
    assert (tmp_path / "out.html").read_text().startswith("<!DOCTYPE html>")
    figures = json.loads((tmp_path / "out.json").read_text())
    assert figures["covariance"]["half_life_steps"] == 20.0
    assert figures["reversion"]["window_steps"] == 60
    assert figures["seed"] == 3
    assert figures["input"]["rows"] == 300


@pytest.mark.slow
def test_a_finding(tmp_path: Path, desk_toml: str) -> None:
    """Risk that grows faster than the covariance follows: exit code 1, and the verdict says what."""
    (tmp_path / "desk.toml").write_text(desk_toml.replace("half_life_steps = 20.0", "half_life_steps = 100.0"))
    ended = betapack(tmp_path, str(price_file(tmp_path, 1.01)), "--config", "desk.toml")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert "more than forecast" in ended.stdout
    assert (tmp_path / "report.html").exists()


@pytest.mark.slow
def test_prices_that_are_hardly_right(tmp_path: Path, desk_toml: str) -> None:
    """A stretch in pence: exit code 1, and asset, date and factor on stdout, in the report and in the figures.

    What the file was taken for stands on stderr and in both files. Nothing is judged to hold on such prices.
    """
    (tmp_path / "desk.toml").write_text(desk_toml)
    path = price_file(tmp_path, 1.0)
    lines = path.read_text().split("\n")
    for number in range(151, 201):
        day, eur, chf, jpy = lines[number].split(",")
        lines[number] = f"{day},{eur},{float(chf) / 100:.8f},{jpy}"
    path.write_text("\n".join(lines))
    ended = betapack(tmp_path, str(path), "--config", "desk.toml", "--output", "out.html", "--json", "out.json")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    finding = "CHF is 0.01"
    assert f"FOUND Prices: {finding}" in ended.stdout
    assert "2015-05-31: that looks like a change of unit by 100" in ended.stdout
    assert "\nok " not in ended.stdout
    taken_for = "prices.csv: ASCII, separated by commas; header in line 1; time in 'day': year-month-day"
    assert taken_for in ended.stderr
    page = (tmp_path / "out.html").read_text()
    assert finding in page
    assert "separated by commas" in page
    figures = json.loads((tmp_path / "out.json").read_text())
    (reading,) = figures["input"]["readings"]
    assert (reading["separator"], reading["decimal"], reading["time_column"]) == ("commas", ".", "day")
    first, second = figures["input"]["findings"]
    assert (first["asset"], first["kind"], first["time"]) == ("CHF", "jump", "2015-05-31")
    assert 0.009 < first["factor"] < 0.011 < 90 < second["factor"] < 110


@pytest.mark.slow
def test_an_option_settles_what_the_file_leaves_open(tmp_path: Path, desk_toml: str) -> None:
    """Firsts of months as d/m/Y: exit code 3 and the option's name; with it the file is read, and that is said."""
    (tmp_path / "desk.toml").write_text(desk_toml)
    path = price_file(tmp_path, 1.0)
    header, *rows = path.read_text().split()
    months = [f"01/{1 + month % 12:02d}/{1990 + month // 12},{row.partition(',')[2]}" for month, row in enumerate(rows)]
    path.write_text("\n".join([header, *months]) + "\n")
    refused = betapack(tmp_path, str(path), "--config", "desk.toml")
    assert refused.returncode == 3, refused.stderr
    assert "--date-order dmy|mdy" in refused.stderr
    ended = betapack(tmp_path, str(path), "--config", "desk.toml", "--date-order", "dmy", "--json", "out.json")
    assert ended.returncode in (0, 1), ended.stderr
    assert "digits in the order day, month, year (--date-order)" in ended.stderr
    assert json.loads((tmp_path / "out.json").read_text())["input"]["last"].startswith("2014-12-01")


@pytest.mark.slow
def test_errors(tmp_path: Path) -> None:
    """Usage is 2, data that cannot be had is 3; one line on stderr, no traceback."""
    path = price_file(tmp_path, 1.0)
    broken = tmp_path / "broken.csv"
    broken.write_text("day,A,B\n2015-01-01,1,2\n2015-01-02,x,2\n")
    wrong = (
        (2, "horizon", [str(path), "--horizon", "0"]),
        (2, "--seed", [str(path), "--seed", "-1"]),
        (2, "there is no folder", [str(path), "--output", "none/report.html"]),
        (2, "none.toml", [str(path), "--config", "none.toml"]),
        (2, "--zone must be", [str(path), "--zone", "Mars/Olympus"]),
        (2, "--decimal", [str(path), "--decimal", "x"]),
        (3, "does not exist", ["none.csv"]),
        (3, "line 3, column A", [str(broken)]),
    )
    commands = [("validate", *arguments) for _, _, arguments in wrong]
    for (code, said, arguments), ended in zip(wrong, betapack_each(commands, tmp_path), strict=True):
        assert ended.returncode == code, (arguments, ended.stderr)
        assert said in ended.stderr, (arguments, ended.stderr)
        assert "Traceback" not in ended.stderr
        assert ended.stdout == ""
