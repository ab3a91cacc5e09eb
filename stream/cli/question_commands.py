"""Commands that ask a running service and change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from stream.cli.terminal import EXIT_DONE, EXIT_FINDING, as_json, say
from stream.config.metrics import MetricsConfig

DEFAULT_URL = f"http://{MetricsConfig().host}:{MetricsConfig().port}"
"""Where a service answers whose file says nothing of it."""

Url = Annotated[str, Parameter(name="--url", help="Of the running service: its metrics.host and metrics.port.")]


def what_if(
    *,
    book: str,
    trade: Annotated[
        tuple[str, ...], Parameter(help="ASSET=UNITS on top of what the book holds, as EUR=5e6; several times.")
    ] = (),
    lots: Annotated[tuple[str, ...], Parameter(help="INSTRUMENT=LOTS, as EURUSD=-3; several times.")] = (),
    url: Url = DEFAULT_URL,
    json: Annotated[bool, Parameter(help="Print the service's messages as JSON in place of the table.")] = False,
) -> int:
    """Ask a running service what a trade would do to a book: residual, risk, packing and suggestion. Changes nothing.

    Exits with 1 when the book would be at its limit or over it, or when its positions are not all known.

    Example: ``betapack what-if --book franc --trade EUR=5e6 --trade CHF=-2e6``
    """
    from stream.cli.what_if_table import ask_what_if, text

    answer = ask_what_if(url, book, trade, lots)
    print(as_json(answer) if json else text(answer))
    share = answer.residual.limit_share
    return EXIT_FINDING if share is None or share >= 1 else EXIT_DONE


def frontier(
    *,
    book: str,
    points: Annotated[int, Parameter(help="From nothing to flat, 2 to 50.")] = 20,
    output: Annotated[Path | None, Parameter(help="Write a page with a plot to this file, as HTML.")] = None,
    url: Url = DEFAULT_URL,
    json: Annotated[bool, Parameter(help="Print the service's answer as JSON in place of the table.")] = False,
) -> int:
    """Ask a running service what each level of risk costs a book, from no trade to flat. Changes nothing.

    Example: ``betapack frontier --book franc --points 20 --output frontier.html``
    """
    from stream.cli.frontier_table import ask_frontier, text, write_frontier

    found = ask_frontier(url, book, points)
    print(as_json(found) if json else text(found))
    if output is not None:
        write_frontier(found, output)
        say(f"wrote {output}")
    return EXIT_DONE
