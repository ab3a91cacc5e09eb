"""The style of all plots: colours, axes, and figures as SVG that a strict content security policy lets through."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from stream.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INSTALL = "pip install 'betapack[report]'"

INK, SOFT, GRID, BAND = "#1f2933", "#667480", "#dde3e8", "#e8f1e4"
"""Text and marks, what explains them, grid lines, and the range in which a figure is good."""

BLUE, ORANGE, RED = "#1f6fb2", "#d9822b", "#b3261e"
"""Ours, what it is compared with, and a limit."""

FAMILY_COLOURS = ("#0072b2", "#009e73", "#e69f00", "#cc79a7", "#56616b")
"""One for each series of a plot with several; the colour-blind can tell them apart too (Okabe and Ito)."""

# As in the page's style sheet.
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

_TEXT = {"svg.fonttype": "none", "font.size": 9}

_QUIET_AXES = {
    "axes.edgecolor": GRID,
    "axes.labelcolor": SOFT,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "text.color": INK,
    "axes.unicode_minus": True,
}


def require_matplotlib() -> None:
    """Raise ConfigError with the line that installs matplotlib, unless it is there."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as exc:
        raise ConfigError(f"a report needs matplotlib for its plots: {INSTALL}") from exc


def small_plot(draw: Callable[[Axes], None], name: str, dated: bool = False) -> str:
    """One of several plots of a page as SVG, 4.9 by 3.1 inches; the page scales it to its column.

    Parameters
    ----------
    draw : draws into the axes that it is given.
    name : of the plot, not used twice in a page: identifiers inside the SVG are made from it.
    dated : the x-axis is in dates.
    """

    def drawn(axes: Axes) -> None:
        axes.tick_params(length=0)
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
        if dated:
            from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

            locator = AutoDateLocator(minticks=3, maxticks=9)  # type: ignore[no-untyped-call]
            axes.xaxis.set_major_locator(locator)
            axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]

    return _svg(drawn, name, (4.9, 3.1), _TEXT | _QUIET_AXES, transparent=True)


def single_plot(draw: Callable[[Axes], None], name: str) -> str:
    """The only plot of a page as SVG, 7.6 by 4.2 inches, with axes in ink; arguments as for `small_plot`."""

    def drawn(axes: Axes) -> None:
        draw(axes)
        axes.grid(color=GRID, linewidth=0.6)
        axes.tick_params(colors=SOFT, labelcolor=INK)
        axes.spines[["top", "right"]].set_visible(False)

    return _svg(drawn, name, (7.6, 4.2), _TEXT, transparent=False)


def legend(axes: Axes) -> None:
    """A legend without a frame where there is most room."""
    axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="best")


def _svg(
    draw: Callable[[Axes], None], name: str, inches: tuple[float, float], look: dict[str, Any], transparent: bool
) -> str:
    require_matplotlib()
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    # Identifiers depend on the name alone, so the same figures give the same bytes, and two plots do not clash.
    settings: Any = {**look, "svg.hashsalt": name}
    with rc_context(settings):
        figure = Figure(figsize=inches, layout="constrained")
        draw(figure.add_subplot())
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=transparent, metadata={"Date": None, "Creator": None})
    return _without_styles(text.getvalue())


def _without_styles(svg: str) -> str:
    """The same picture without a prologue, and with attributes in place of styles, which `style-src` would refuse."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<defs>\s*<style[^>]*>.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' style="([^"]*)"', lambda found: _as_attributes(found[1]), svg)
    svg = re.sub(r"\s*\n\s*", "\n", svg)
    width = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    assert width is not None
    opening = (
        f'<svg viewBox="0 0 {width[1]} {width[2]}" role="img" stroke-linejoin="round" stroke-linecap="butt" '
        f'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    return re.sub(r"<svg[^>]*>", opening, svg, count=1)


def _as_attributes(style: str) -> str:
    attributes = []
    for declaration in filter(None, (part.strip() for part in style.split(";"))):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if name == "font":
            size = re.search(r"([\d.]+)px", value)
            attributes.append(f'font-family="{_FONT}" font-size="{size[1] if size else 9}"')
        else:
            attributes.append(f'{name}="{value}"')
    return "".join(f" {attribute}" for attribute in attributes)
