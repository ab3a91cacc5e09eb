"""The report: one file, verdict first, that asks for nothing and that a strict policy lets through."""

from __future__ import annotations

import base64
import hashlib
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import msgspec
import pytest

from stream.errors import ConfigError
from stream.studies.read.prices import Prices
from stream.studies.report.plot_style import require_matplotlib
from stream.studies.validate.plots import Plot, plots
from stream.studies.validate.report import html, write_report
from stream.studies.validate.run import Run, ValidateSettings, validate
from stream.studies.validate.walk import Models

pytest.importorskip("matplotlib", reason="matplotlib is not installed (pip install '.[report]')")


@pytest.fixture(scope="module")
def run(related: Prices, models: Models) -> Run:
    """Two walks of four that go together, in a file with an awkward name."""
    settings = ValidateSettings(models, 1, 7)
    return validate(related, "<prices> & co.csv", settings, lambda said: None, lambda: False)


@pytest.fixture(scope="module")
def drawn(run: Run) -> list[Plot]:
    return plots(run)


@pytest.fixture(scope="module")
def page(run: Run, drawn: list[Plot]) -> str:
    return html(run.validation, drawn)


@pytest.mark.slow
def test_nothing_from_elsewhere(page: str) -> None:
    """No script, no address but names of namespaces, no reference that leaves the page; the input's name is escaped."""
    addresses = set(re.findall(r"https?://[^\s\"'<>)]+", page))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert not re.search(r"<(script|link|img|iframe|object|embed)\b|@import|url\((?!#)", page)
    assert all(reference.startswith("#") for reference in re.findall(r'href="([^"]*)"', page))
    assert "<prices>" not in page
    assert "&lt;prices&gt; &amp; co.csv" in page


@pytest.mark.slow
def test_a_strict_policy_lets_it_through(page: str) -> None:
    """Its policy allows the one style sheet by its hash and nothing else, and no element has a style of its own."""
    (style,) = re.findall(r"<style>(.*?)</style>", page, flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}'" in page
    assert not re.search(r'\sstyle="|\son\w+="', page)


@pytest.mark.slow
def test_verdict_comes_first_and_everything_stands_in_it(run: Run, page: str) -> None:
    """Verdict, plots, tables, limits and provenance, in that order, with the hash of the input and the settings."""
    places = [page.index(part) for part in ('class="verdict', "<svg", "<table", "What this does not show", "SHA-256")]
    assert places == sorted(places)
    for part in (run.validation.input.sha256, run.validation.config_hash, "half_life_steps 60", "holdout_steps 50"):
        assert part in page
    assert page.count("<figure>") == 6


@pytest.mark.slow
def test_plots_are_well_formed_and_alike_in_every_run(run: Run, drawn: list[Plot]) -> None:
    """Each SVG parses, says its size, and is the same to the byte when drawn again."""
    for plot in drawn:
        root = ElementTree.fromstring(plot.svg)
        assert root.attrib["viewBox"]
        assert plot.caption.endswith(".")
    assert [plot.svg for plot in plots(run)] == [plot.svg for plot in drawn]


@pytest.mark.slow
def test_a_finding_shows(run: Run) -> None:
    """A check that failed turns the verdict, and a partial run says so."""
    check = msgspec.structs.replace(run.validation.checks[0], passed=False)
    failed = msgspec.structs.replace(run.validation, checks=(check, *run.validation.checks[1:]), partial=True)
    page = html(failed, [])
    assert 'class="verdict found"' in page
    assert "PARTIAL, interrupted: 1 of" in page
    assert "■ does not" in page


@pytest.mark.slow
def test_where_it_cannot_be_written(run: Run, tmp_path: Path) -> None:
    """The error names the file and the option."""
    with pytest.raises(ConfigError, match="--output"):
        write_report(run, tmp_path / "none" / "report.html")


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the line that installs it."""
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r"pip install 'betapack\[report\]'"):
        require_matplotlib()
