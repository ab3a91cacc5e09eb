"""The report: one HTML file that loads nothing else, with the verdict first."""

from __future__ import annotations

from html import escape
from pathlib import Path

import msgspec

from stream.studies.report.page import page, write_page
from stream.studies.validate.cells import Table, figure, shown_time
from stream.studies.validate.findings import Check, Validation
from stream.studies.validate.plots import Plot, plots
from stream.studies.validate.run import SHUFFLE_BLOCK_STEPS, Run
from stream.studies.validate.tables import tables, verdict

_STYLE = """
main { max-width: 1080px; }
h2 { font-size: 16px; margin: 34px 0 8px; }
.note, figcaption { color: #667480; font-size: 13px; max-width: 78ch; }
ul.note { padding-left: 18px; }
.verdict { margin: 16px 0 0; padding: 14px 18px; background: #fff; border: 1px solid #dde3e8; border-left-width: 6px;
  border-radius: 6px; }
.verdict.ok { border-left-color: #2e7d4f; }
.verdict.found { border-left-color: #b3261e; }
.verdict b { font-size: 17px; }
.verdict ul { list-style: none; padding: 0; margin-top: 8px; }
.verdict li { display: flex; }
.ok i { color: #2e7d4f; } .found i { color: #b3261e; } .none i { color: #667480; }
i { font-style: normal; font-weight: 600; flex: none; width: 8em; }
.wide { overflow-x: auto; }
th, td { white-space: nowrap; }
th { border-bottom-color: #dde3e8; }
th:first-child, td:first-child { text-align: left; }
.prose th, .prose td { text-align: left; vertical-align: top; }
.prose td:last-child { white-space: normal; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(420px, 100%), 1fr)); gap: 16px;
  margin-top: 18px; }
figure { margin: 0; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 3px 18px; font-size: 13.5px; margin: 6px 0; }
dt { color: #667480; } dd { margin: 0; overflow-wrap: anywhere; }
code { font-family: ui-monospace, Menlo, Consolas, monospace; font-size: 12.5px; }
"""

_LIMITS = (
    "Every forecast was made from the rows before its outcome, by the service's own code. Whether the settings were "
    "chosen by looking at this very file is for whoever chose them to say; if they were, all figures flatter them.",
    "Prices are taken as they are: no bid-ask spread, no cost, no impact, and nothing of what a hedge would have "
    "earned.",
    "Rows are the timesteps of this file. At another ΔT the same settings have another half-life in hours, and other "
    "figures.",
    "Intervals are for outcomes like those of this file. What it does not contain, such as a currency peg that breaks, "
    "is in none of them.",
    "A bias of 1 over years is no promise for a day: the rolling plot shows how far it was off for weeks.",
    f"Shuffled prices keep each asset's own returns in blocks of {SHUFFLE_BLOCK_STEPS}; longer dependence of an asset "
    "on its own past is lost with the relations between assets.",
)


def write_report(run: Run, path: Path) -> None:
    """Write the page to `path`. Raises ConfigError where that fails."""
    write_page(html(run.validation, plots(run)), path, "report")


def html(found: Validation, drawn: list[Plot]) -> str:
    """The whole page."""
    named = found.input
    figures = "".join(f"<figure>{plot.svg}<figcaption>{escape(plot.caption)}</figcaption></figure>" for plot in drawn)
    body = f"""<h1>Validation of {escape(named.name)}</h1>
<p class="soft">{len(named.assets)} assets, {named.rows:,} rows from {shown_time(named.first)} to \
{shown_time(named.last)} UTC, timestep {_span(named.timestep_s)}; \
outcomes over {found.horizon_steps:,} {_plural(found.horizon_steps, "row")}, \
{found.outcomes:,} of them</p>
<div class="verdict {"found" if found.found else "ok"}">
<b>{escape(_sentence(verdict(found)))}</b>
<ul>{"".join(_check(check) for check in found.checks)}</ul>
</div>
<div class="plots">{figures}</div>
{"".join(_table(table) for table in tables(found))}
<h2>What this does not show</h2>
<ul class="note">{"".join(f"<li>{escape(limit)}</li>" for limit in _LIMITS)}</ul>
<h2>What it was made from</h2>
{_provenance(found)}"""
    return page(f"Validation of {named.name}", body, _STYLE)


def _check(check: Check) -> str:
    name, word = {True: ("ok", "● holds"), False: ("found", "■ does not"), None: ("none", "○ not judged")}[check.passed]
    return f'<li class="{name}"><i>{word}</i><span>{escape(check.text)}</span></li>'


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in table.header)
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    kind = ' class="prose"' if table.prose else ""
    return (
        f'<h2>{escape(table.title)}</h2><div class="wide"><table{kind}><thead><tr>{head}</tr></thead>'
        f'<tbody>{rows}</tbody></table></div><p class="note">{escape(table.note)}</p>'
    )


def _provenance(found: Validation) -> str:
    named = found.input
    left_out = "; ".join(f"{what}: {count:,}" for what, count in named.left_out) or "nothing"
    rows = (
        ("betapack", found.version),
        ("input", f"{named.name}, SHA-256 {named.sha256}"),
        ("assets", ", ".join(named.assets)),
        ("left out", left_out),
        ("gaps", f"{named.gaps:,} rows come later than one timestep after the one before; their return spans the gap"),
        ("not scored", f"{found.unforecast:,} outcomes before the first forecast"),
        ("singular", f"{found.singular:,} forecasts in which some portfolio had no risk at all"),
        ("covariance", _settings(found.covariance)),
        ("reversion", _settings(found.reversion)),
        ("hash of both", found.config_hash),
        ("seed", f"{found.seed}"),
    )
    return "<dl>" + "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows) + "</dl>"


def _settings(section: msgspec.Struct) -> str:
    parts = []
    for name, value in msgspec.structs.asdict(section).items():
        values = value if isinstance(value, tuple) else (value,)
        shown = ", ".join(f"{each:g}" if isinstance(each, float) else f"{each}" for each in values)
        parts.append(f"{name} {shown}")
    return "; ".join(parts)


def _span(seconds: float) -> str:
    for unit, length in (("day", 86_400.0), ("hour", 3_600.0), ("minute", 60.0)):
        if seconds >= length:
            return f"{figure(seconds / length)} {_plural(seconds / length, unit)}" if seconds != length else f"1 {unit}"
    return f"{figure(seconds)} s"


def _plural(count: float, word: str) -> str:
    return word if count == 1 else f"{word}s"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."
