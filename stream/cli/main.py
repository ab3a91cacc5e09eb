"""The command line. Data goes to stdout, everything else to stderr; numpy, numba and Kafka load only when needed."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version as distribution_version
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from stream.cli.kernels import prepare_kernels
from stream.errors import BetapackError

if TYPE_CHECKING:
    from msgspec import Struct

    from stream.config import Config

EXIT_DONE, EXIT_FINDING, EXIT_INTERNAL, EXIT_INTERRUPTED = 0, 1, 4, 130  # 2 and 3 come from stream.errors and cyclopts

app = App(
    name="betapack",
    help="Real-time hedging monitor: what of each book is really unhedged, what to trade, when to worry.",
    version=lambda: f"betapack {distribution_version('betapack')}",
    help_flags=["--help"],
    version_flags=["--version"],
)


def _positive(kind: object, value: float | None) -> None:
    if value is not None and not value > 0:
        raise ValueError(f"must be > 0, got {value}")


ConfigPath = Annotated[Path, Parameter(name="--config", help="TOML file that configures the service.")]
Bootstrap = Annotated[
    str | None, Parameter(name="--bootstrap", help="Kafka's host:port, in place of kafka.bootstrap in the file.")
]


@app.command
def serve(
    *,
    config: ConfigPath,
    bootstrap: Bootstrap = None,
    rebuild: Annotated[
        bool, Parameter(help="Ignore kept snapshots and compute the state again from the beginning of the log.")
    ] = False,
) -> int:
    """Run the service until Ctrl-C or SIGTERM.

    Example: ``betapack serve --config desk.toml --bootstrap kafka-1:9092``
    """
    from stream.worker.service import run_service

    return run_service(_load(config, bootstrap), rebuild=rebuild, stop=stop_on_signals())


@app.command
def check(*, config: ConfigPath) -> int:
    """Check a configuration and say what it describes.

    Example: ``betapack check --config desk.toml``
    """
    from stream.engine.book.quote_skew import Quoter

    loaded = _load(config, None)
    Quoter(loaded)  # the one thing that a start can refuse beyond what the file itself says
    universe = loaded.universe
    print(f"universe     {universe.name}: {len(universe.assets)} assets against {universe.numeraire}")
    print(f"instruments  {len(loaded.instruments)}")
    print(f"books        {', '.join(book.name for book in loaded.books)}")
    print(f"timestep     {universe.timestep_s:g} s")
    return EXIT_DONE


@app.command
def topics(*, config: ConfigPath, bootstrap: Bootstrap = None, create: bool = False) -> int:
    """List the topics that the service needs; with --create make those that are missing.

    Example: ``betapack topics --config desk.toml --create``
    """
    from schemas.topics import TOPICS
    from stream.kafka.topics import check_topics, create_topics

    loaded = _load(config, bootstrap)
    if create:
        for name in create_topics(loaded.kafka, TOPICS, loaded.topics.prefix, loaded.topics.replication):
            print(f"created {name}", file=sys.stderr)
    counts = check_topics(loaded.kafka, TOPICS, loaded.topics.prefix)
    for topic in TOPICS:
        name = loaded.topics.prefix + topic.name
        print(f"{name:30} {topic.direction:8} {counts[name]:3} partitions  {topic.summary}")
    return EXIT_DONE


@app.command
def broker(*, port: int = 9092, data: Path | None = None) -> int:
    """Run a local Apache Kafka until Ctrl-C or SIGTERM, from pip alone: no Java, Maven or Docker needed.

    Prints its address when it is ready. With --data the log is kept in that folder and found again at the next start.

    Example: ``betapack broker --port 9092 --data ./kafka-data``
    """
    from stream.errors import LocalBrokerFailed
    from stream.kafka.local.broker import LocalBroker

    stop = stop_on_signals()
    with LocalBroker(data_dir=data, port=port, say=_say) as running:
        print(running.bootstrap, flush=True)
        while not stop():
            ended = running.wait(timeout_s=0.2)
            if ended is not None:
                raise LocalBrokerFailed(f"Kafka ended by itself with exit code {ended}; see {running.output_file}")
    return EXIT_DONE


@app.command
def demo(
    *,
    seconds: Annotated[
        float | None, Parameter(help="End by itself after this many seconds of live replay.", validator=_positive)
    ] = None,
    bootstrap: Annotated[
        str | None, Parameter(help="A Kafka that is already there, host:port; by default one is started from pip.")
    ] = None,
    start: Annotated[str, Parameter(help="First day of the live replay, YYYY-MM-DD.")] = "2014-10-01",
    days_per_second: Annotated[float, Parameter(help="Speed of the replay.", validator=_positive)] = 4.0,
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


@app.command
def bench(
    subject: Annotated[
        Literal["all", "packing", "hedging", "models", "validation", "desk", "stream"],
        Parameter(help="Which figures; only `stream` needs a Kafka."),
    ] = "all",
    /,
    *,
    output: Annotated[Path, Parameter(help="JSON file for the figures.")] = Path("bench.json"),
    bootstrap: Annotated[
        str | None, Parameter(help="A Kafka that is already there, host:port; by default one is started from pip.")
    ] = None,
    ticks: Annotated[int, Parameter(help="Ticks for the throughput figure.", validator=_positive)] = 200_000,
    positions: Annotated[int, Parameter(help="Round trips for the latency figures.", validator=_positive)] = 500,
    data: Annotated[
        Path | None,
        Parameter(
            help="Folder with etf23_daily.csv.gz, fx_ticks and fx_h1: figures on real prices beside the ECB's rates."
        ),
    ] = None,
    scip_seconds: Annotated[float, Parameter(help="After which SCIP gives up a case.", validator=_positive)] = 60.0,
    quick: Annotated[bool, Parameter(help="Few cases of each figure: a smoke test, nothing to quote.")] = False,
) -> int:
    """Measure what is promised, each speed against something that runs beside it, and print a Markdown table.

    Example: ``betapack bench packing --output bench.json``
    """
    from stream.bench.run import BenchSettings, run_bench

    settings = BenchSettings(subject, output, bootstrap, ticks, positions, data, scip_seconds, quick)
    print(run_bench(settings, _say))
    return EXIT_DONE


@app.command
def desk(
    *,
    seeds: Annotated[int, Parameter(help="Runs, each with its own clients and prices.", validator=_positive)] = 20,
    days: Annotated[float, Parameter(help="Length of a run.", validator=_positive)] = 5.0,
    data: Annotated[
        Path | None, Parameter(help="Folder with fx_h1: real hourly prices in place of simulated ones.")
    ] = None,
    json: Annotated[bool, Parameter(help="Print every outcome as JSON in place of the table.")] = False,
) -> int:
    """Compare ways to hedge on a simulated desk, at equal average risk, in a Markdown table.

    Clients, their answer to quotes and fills are simulated and seeded; the suggestions are those of the service.

    Example: ``betapack desk --seeds 4 --days 2``
    """
    import msgspec

    from stream.studies.desk.comparison import table
    from stream.studies.desk.run import DeskSettings, run_desk

    study = run_desk(DeskSettings(seeds, days, data), _say)
    print(msgspec.json.encode(study).decode() if json else table(study))
    return EXIT_DONE


@app.command
def validate(
    data: Annotated[
        Path, Parameter(help="CSV or CSV.gz, a time and then one column an asset; or a folder with one file an asset.")
    ],
    /,
    *,
    config: Annotated[
        Path | None, Parameter(name="--config", help="TOML file whose covariance and reversion are validated.")
    ] = None,
    horizon: Annotated[
        int, Parameter(help="Rows that an outcome spans, as `risk.horizon_steps`.", validator=_positive)
    ] = 1,
    output: Annotated[Path, Parameter(help="HTML file for the report.")] = Path("report.html"),
    json: Annotated[Path | None, Parameter(help="File for the figures.")] = None,
    seed: Annotated[int, Parameter(help="Seed of random portfolios, shuffles and intervals.")] = 7,
) -> int:
    """Walk the models forward over a price file and hold every forecast against what followed.

    Is the risk as forecast, and do the β vectors hold on data they have not seen, more often than on shuffled prices?
    Exits with 1 when something does not hold.

    Example: ``betapack validate prices.csv.gz --config desk.toml --output report.html``
    """
    from stream.studies.validate.command import run_validate

    loaded = _load(config, None) if config else None
    found = run_validate(data, loaded, horizon, seed, output, json, _say, stop_on_signals())
    return EXIT_INTERRUPTED if found.partial else EXIT_FINDING if found.found else EXIT_DONE


Url = Annotated[str, Parameter(name="--url", help="Of the running service: its metrics.host and metrics.port.")]


@app.command(name="what-if")
def what_if(
    *,
    book: str,
    trade: Annotated[
        tuple[str, ...], Parameter(help="ASSET=UNITS on top of what the book holds, as EUR=5e6; several times.")
    ] = (),
    lots: Annotated[tuple[str, ...], Parameter(help="INSTRUMENT=LOTS, as EURUSD=-3; several times.")] = (),
    url: Url = "http://127.0.0.1:9464",
    json: Annotated[bool, Parameter(help="Print the service's messages as JSON in place of the table.")] = False,
) -> int:
    """Ask a running service what a trade would do to a book: residual, risk, packing and suggestion. Changes nothing.

    Exits with 1 when the book would be at its limit or over it.

    Example: ``betapack what-if --book franc --trade EUR=5e6 --trade CHF=-2e6``
    """
    from stream.cli.what_if_table import ask_what_if, text

    answer = ask_what_if(url, book, trade, lots)
    print(_json(answer) if json else text(answer))
    share = answer.residual.limit_share
    return EXIT_FINDING if share is not None and share >= 1 else EXIT_DONE


@app.command
def frontier(
    *,
    book: str,
    points: Annotated[int, Parameter(help="From nothing to flat, 2 to 50.")] = 20,
    output: Annotated[Path | None, Parameter(help="Write a page with a plot to this file, as HTML.")] = None,
    url: Url = "http://127.0.0.1:9464",
    json: Annotated[bool, Parameter(help="Print the service's answer as JSON in place of the table.")] = False,
) -> int:
    """Ask a running service what each level of risk costs a book, from no trade to flat. Changes nothing.

    Example: ``betapack frontier --book franc --points 20 --output frontier.html``
    """
    from stream.cli.frontier_table import ask_frontier, text, write_frontier

    found = ask_frontier(url, book, points)
    print(_json(found) if json else text(found))
    if output is not None:
        write_frontier(found, output)
        _say(f"wrote {output}")
    return EXIT_DONE


@app.command
def schema(*, write: Annotated[Path | None, Parameter(help="Folder to write the documents to.")] = None) -> int:
    """Print the AsyncAPI document of all topics and messages, or write it and the JSON Schemas to a folder.

    Example: ``betapack schema > asyncapi.json``
    """
    from schemas.generate import documents

    texts = documents()
    if write is None:
        print(texts["asyncapi.json"], end="")
        return EXIT_DONE
    for name, text in texts.items():
        path = write / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        _say(f"wrote {path}")
    return EXIT_DONE


@app.command
def warm() -> int:
    """Compile the numeric kernels ahead of the first start; an installation does it once.

    Those of the default objective; ``serve`` compiles what another one needs before it reads its first message.

    Example: ``betapack warm``
    """
    from solver.warm import warm_hedging, warm_models, warm_packing

    # A process each: numba compiles one kernel at a time.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as processes:
        for compiling in [processes.submit(part) for part in (warm_packing, warm_hedging, warm_models)]:
            compiling.result()
    return EXIT_DONE


def stop_on_signals() -> Callable[[], bool]:
    """Note SIGINT and SIGTERM instead of dying of them; the returned function says whether one came.

    A second SIGINT ends the process at once, for an operator who will not wait.
    """
    came: list[int] = []

    def note(number: int, frame: object) -> None:
        came.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, note)
    signal.signal(signal.SIGTERM, note)
    return lambda: bool(came)


def _load(path: Path, bootstrap: str | None) -> Config:
    import msgspec

    from stream.config import load_config

    config = load_config(path)
    if bootstrap:
        config = msgspec.structs.replace(config, kafka=msgspec.structs.replace(config.kafka, bootstrap=bootstrap))
    return config


def _json(answer: Struct) -> str:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(answer), indent=2).decode()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    """The `betapack` command."""
    prepare_kernels()
    try:
        sys.exit(app())
    except BetapackError as exc:
        _say(f"betapack: {exc}")
        sys.exit(exc.exit_code)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except Exception:
        # Nobody foresaw it: show where, and do not let it pass for a finding, which exits with 1.
        traceback.print_exc()
        sys.exit(EXIT_INTERNAL)
