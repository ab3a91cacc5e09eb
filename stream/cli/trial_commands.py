"""Commands that show the whole program at work and measure it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from stream.cli.options import OwnKafka, positive
from stream.cli.terminal import EXIT_DONE, EXIT_FINDING, say, stop_on_signals


def demo(
    *,
    seconds: Annotated[
        float | None, Parameter(help="End by itself after this many seconds of live replay.", validator=positive)
    ] = None,
    bootstrap: OwnKafka = None,
    start: Annotated[str, Parameter(help="First day of the live replay, YYYY-MM-DD.")] = "2014-10-01",
    days_per_second: Annotated[float, Parameter(help="Speed of the replay.", validator=positive)] = 4.0,
    seed: Annotated[int, Parameter(help="Seed of the simulated client flow.")] = 7,
    picture: Annotated[Path | None, Parameter(help="Write the last screen to this file, as SVG.")] = None,
) -> int:
    """Replay real daily rates through the whole service, with a simulated client flow, and show it as a live table.

    Starts Apache Kafka, the service and the feeds on this machine, and ends them with Ctrl-C. Exits with 0 only if
    hedge suggestions were published.

    Example: ``betapack demo --seconds 30``
    """
    from datetime import date

    from stream.demo.run import DemoSettings, run_demo
    from stream.errors import ConfigError

    try:
        first = date.fromisoformat(start)
    except ValueError as exc:
        raise ConfigError(f"--start must be a date as 2014-10-01, got {start!r}") from exc
    settings = DemoSettings(seconds, bootstrap, first, days_per_second, seed, picture)
    return EXIT_DONE if run_demo(settings, stop_on_signals()) else EXIT_FINDING


def bench(
    subject: Annotated[
        Literal["all", "packing", "hedging", "models", "gate", "validation", "desk", "stream"],
        Parameter(help="Which figures; only `stream` needs a Kafka."),
    ] = "all",
    /,
    *,
    output: Annotated[Path, Parameter(help="JSON file for the figures.")] = Path("bench.json"),
    bootstrap: OwnKafka = None,
    ticks: Annotated[int, Parameter(help="Ticks for the throughput figure.", validator=positive)] = 200_000,
    positions: Annotated[int, Parameter(help="Round trips for the latency figures.", validator=positive)] = 500,
    data: Annotated[
        Path | None,
        Parameter(
            help="Folder with etf23_daily.csv.gz, fx_ticks and fx_h1: figures on real prices beside the ECB's rates."
        ),
    ] = None,
    scip_seconds: Annotated[float, Parameter(help="After which SCIP gives up a case.", validator=positive)] = 60.0,
    quick: Annotated[bool, Parameter(help="Few cases of each figure: a smoke test, nothing to quote.")] = False,
) -> int:
    """Measure what is promised, each speed against something that runs beside it, and print a Markdown table.

    Example: ``betapack bench packing --output bench.json``
    """
    from stream.bench.run import BenchSettings, run_bench

    settings = BenchSettings(subject, output, bootstrap, ticks, positions, data, scip_seconds, quick)
    print(run_bench(settings, say))
    return EXIT_DONE
