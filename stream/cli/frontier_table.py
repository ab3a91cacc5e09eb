"""`betapack frontier`: what each level of risk costs a book, as a table and as a page with a plot."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.answers import Frontier
from stream.cli.client import ask
from stream.cli.what_if_table import orders
from stream.studies.report.page import page, write_page

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STYLE = """
main { max-width: 860px; }
.soft { font-size: 13px; }
figure { margin: 18px 0; }
th { white-space: nowrap; }
tr:last-child td { border-bottom-color: #dde3e8; }
th:last-child, td:last-child { text-align: left; }
"""


def ask_frontier(url: str, book: str, points: int) -> Frontier:
    """The frontier of `book` in `points` steps. Raises as `ask`."""
    return ask(url, "/frontier", [("book", book), ("points", str(points))], Frontier)


def text(found: Frontier) -> str:
    """A row for each point, from no trade to flat."""
    lines = [f"{_title(found)}, in {found.numeraire}", *_marks(found), _HEADER]
    for point in found.points:
        state = "proven" if point.proven else f"best found, at least {point.cost_lower_bound:,.2f}"
        share = point.risk / found.limit
        lines.append(f"{point.risk:>14,.0f}{share:>9.0%}{point.cost:>14,.2f}  {state:32}  {orders(point.trades)}")
    if found.suggestion is not None:
        lines.append(
            f"suggested: {orders(found.suggestion.trades)}: risk {found.suggestion.risk_after:,.0f} "
            f"for {found.suggestion.expected_cost:,.2f}"
        )
    return "\n".join(lines)


_HEADER = f"{'risk':>14}{'of limit':>9}{'cost':>14}  {'':32}  trades"


def write_frontier(found: Frontier, path: Path) -> None:
    """Write the page to `path`. Raises ConfigError where matplotlib is missing or the file cannot be written."""
    write_page(html(found), path, "frontier")


def html(found: Frontier) -> str:
    """The page: the plot, and its points as a table."""
    rows = "".join(
        f"<tr><td>{point.risk:,.0f}</td><td>{point.risk / found.limit:.0%}</td><td>{point.cost:,.2f}</td>"
        f"<td>{point.cost_lower_bound:,.2f}</td><td>{escape(orders(point.trades))}</td></tr>"
        for point in found.points
    )
    marks = "".join(f"<p><strong>{escape(mark)}</strong></p>" for mark in _marks(found))
    suggested = ""
    if found.suggestion is not None:
        suggested = f"<p>Suggested: {escape(found.suggestion.reason)}.</p>"
    body = f"""<h1>{escape(_title(found))}</h1>
<p class="soft">timestep {found.timestep}, model {found.model_version}; risk is one standard deviation \
{_over(found)}, in {escape(found.numeraire)}</p>
{marks}{suggested}
<figure>{plot(found)}</figure>
<table><thead><tr><th>risk</th><th>of limit</th><th>cost</th><th>at least</th><th>trades</th></tr></thead>
<tbody>{rows}</tbody></table>"""
    return page(_title(found), body, _STYLE)


def plot(found: Frontier) -> str:
    """Cost over risk as SVG, with the limit, and the suggestion where there is one."""
    from stream.studies.report.plot_style import BLUE, ORANGE, RED, single_plot

    risks, costs = [point.risk for point in found.points], [point.cost for point in found.points]

    def draw(axes: Axes) -> None:
        axes.plot(
            risks, costs, color=BLUE, marker="o", markersize=4, linewidth=1.4, clip_on=False, label="cheapest found"
        )
        axes.vlines(risks, [point.cost_lower_bound for point in found.points], costs, color=BLUE, linewidth=0.8)
        axes.axvline(found.limit, color=RED, linewidth=1.0, linestyle="--", label="limit")
        if found.suggestion is not None:
            at = (found.suggestion.risk_after, found.suggestion.expected_cost)
            axes.plot(*at, color=ORANGE, marker="D", markersize=8, linestyle="none", label="suggested")
        axes.set_xlabel(f"risk that is left, {found.numeraire}")
        axes.set_ylabel(f"cost, {found.numeraire}")
        axes.set_xlim(left=0.0)
        axes.set_ylim(bottom=0.0)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:,.0f}")
        axes.legend(frameon=False)

    return single_plot(draw, "betapack")


def _title(found: Frontier) -> str:
    return f"What less risk costs {found.book}"


def _marks(found: Frontier) -> list[str]:
    """Why the figures stand on doubtful input; nothing where they do not."""
    return [] if found.status == "ok" else [f"{found.status}: {found.detail}"]


def _over(found: Frontier) -> str:
    return f"over {found.horizon_steps} timesteps" if found.limit_on == "horizon" else "over one timestep"
