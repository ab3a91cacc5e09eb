"""Commands of whoever runs the service: configuration, topics, Kafka, kernels."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from stream.cli.options import Bootstrap, ConfigPath, loaded_config, time_ns_of
from stream.cli.terminal import EXIT_DONE, say, stop_on_signals

QUOTES_SHOWN = 20


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

    return run_service(loaded_config(config, bootstrap), rebuild=rebuild, stop=stop_on_signals())


def check(*, config: ConfigPath) -> int:
    """Check a configuration and say what it describes.

    Example: ``betapack check --config desk.toml``
    """
    from stream.engine.book.quote_skew import Quoter

    loaded = loaded_config(config)
    Quoter(loaded)  # the one thing that a start can refuse beyond what the file itself says
    universe = loaded.universe
    print(f"universe     {universe.name}: {len(universe.assets)} assets against {universe.numeraire}")
    print(f"instruments  {len(loaded.instruments)}")
    print(f"books        {', '.join(book.name for book in loaded.books)}")
    print(f"timestep     {universe.timestep_s:g} s")
    return EXIT_DONE


def topics(*, config: ConfigPath, bootstrap: Bootstrap = None, create: bool = False) -> int:
    """List the topics that the service needs, and what is wrong with them. With --create, make those that are missing.

    Exits with 3 when a setting can lose records without a trace.

    Example: ``betapack topics --config desk.toml --create``
    """
    from schemas.topics import TOPICS
    from stream.kafka.topic_settings import check_settings, findings
    from stream.kafka.topics import check_topics, create_topics
    from stream.kafka.watch import look_at_topics

    loaded = loaded_config(config, bootstrap)
    if create:
        made = create_topics(loaded.kafka, TOPICS, loaded.topics.prefix, loaded.topics.replication, loaded.dead_letters)
        for name in made:
            print(f"created {name}", file=sys.stderr)
    counts = check_topics(loaded.kafka, TOPICS, loaded.topics.prefix)
    for topic in TOPICS:
        name = loaded.topics.prefix + topic.name
        print(f"{name:30} {topic.direction:8} {counts[name]:3} partitions  {topic.summary}")
    found = findings(look_at_topics(loaded.kafka, list(counts)), TOPICS, loaded.topics.prefix)
    for finding in found:
        say(f"{finding.severity}: {finding}")
    check_settings(found)
    return EXIT_DONE


def confirm(
    *,
    book: str,
    config: ConfigPath,
    reason: Annotated[str, Parameter(help="Why you are sure, for whoever reads the log.")],
    position: Annotated[
        tuple[str, ...],
        Parameter(help="ASSET=UNITS that the book holds, as EUR=9e6. Repeat it for each asset; others are flat."),
    ] = (),
    flat: Annotated[bool, Parameter(help="The book holds nothing.")] = False,
    bootstrap: Bootstrap = None,
) -> int:
    """State that all positions of a book are known, so that it is no longer incomplete.

    It writes one record to `positions`. With --position the record says what the book holds, and counts in every
    rebuild. Without --position it confirms the levels that the service holds when it reads the record.

    Example: ``betapack confirm --book spot-london --reason "compared with the ledger" --config desk.toml``
    """
    from stream.cli.confirmation import write_confirmation

    loaded = loaded_config(config, bootstrap)
    say(write_confirmation(loaded, book, reason, position, flat=flat))
    return EXIT_DONE


def forget(
    *,
    config: ConfigPath,
    reason: Annotated[str, Parameter(help="Why, for whoever reads the corrections later.")],
    record: Annotated[str | None, Parameter(help="The record, as topic[partition]@offset.")] = None,
    instrument: Annotated[str | None, Parameter(help="The instrument, with --from and --to.")] = None,
    first: Annotated[
        str | None, Parameter(name="--from", help="First event time: ISO 8601 with a zone, or nanoseconds.")
    ] = None,
    last: Annotated[
        str | None, Parameter(name="--to", help="Last event time: ISO 8601 with a zone, or nanoseconds.")
    ] = None,
    who: Annotated[str | None, Parameter(help="Who decided it; by default the user of this machine.")] = None,
    bootstrap: Bootstrap = None,
) -> int:
    """Take out a bad tick: write a correction that a start with ``serve --rebuild`` honours. The log is never edited.

    Example: ``betapack forget --record 'ticks[2]@417' --reason 'a hundred times the market' --config desk.toml``
    """
    import getpass
    from contextlib import closing

    import msgspec

    from schemas.inbound import Correction
    from stream.errors import CorrectionRefused
    from stream.kafka.consume import KafkaReader
    from stream.kafka.publish import KafkaWriter
    from stream.worker.forget import find_range, find_record, write_correction

    replace = msgspec.structs.replace
    if (record is None) == (instrument is None) or (instrument is None) != (first is None or last is None):
        raise CorrectionRefused("expected either --record, or --instrument with --from and --to")
    loaded = loaded_config(config, bootstrap)
    made = Correction(reason=reason, who=who or getpass.getuser(), event_time_ns=time.time_ns())
    with closing(KafkaReader(loaded.kafka, [loaded.topics.names()["ticks"]])) as ticks:
        if record is not None:
            found, sha256 = find_record(loaded, ticks, record)
            made = replace(made, record=record, value_sha256=sha256)
        else:
            assert instrument is not None
            assert first is not None
            assert last is not None
            first_ns, last_ns = time_ns_of("--from", first), time_ns_of("--to", last)
            found = find_range(loaded, ticks, instrument, first_ns, last_ns)
            made = replace(made, instrument=instrument, from_time_ns=first_ns, to_time_ns=last_ns)
    for quote in found[:QUOTES_SHOWN]:
        feed = f" from {quote.feed!r}" if quote.feed else ""
        print(f"{quote.record}  {quote.instrument}  {quote.event_time_ns} ns  bid {quote.bid} ask {quote.ask}{feed}")
    if len(found) > QUOTES_SHOWN:
        print(f"and {len(found) - QUOTES_SHOWN} more")
    with closing(KafkaWriter(loaded.kafka)) as writer:
        write_correction(loaded, writer, made)
    say(
        f"the correction is written: {len(found)} quotes will count as never sent. A running service leaves out what "
        "it has not read yet. What it has read stays in its figures until you stop it and start it with --rebuild"
    )
    return EXIT_DONE


def broker(*, port: int = 9092, data: Path | None = None) -> int:
    """Run a local Apache Kafka until Ctrl-C or SIGTERM, from pip alone: no Java, Maven or Docker needed.

    Prints its address when it is ready. With --data the log is kept in that folder and found again at the next start.

    Example: ``betapack broker --port 9092 --data ./kafka-data``
    """
    from stream.errors import LocalBrokerFailed
    from stream.kafka.local.broker import LocalBroker

    stop = stop_on_signals()
    with LocalBroker(data_dir=data, port=port, say=say) as running:
        print(running.bootstrap, flush=True)
        while not stop():
            ended = running.wait(timeout_s=0.2)
            if ended is not None:
                raise LocalBrokerFailed(f"Kafka ended by itself with exit code {ended}; see {running.output_file}")
    return EXIT_DONE


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
        say(f"wrote {path}")
    return EXIT_DONE


def warm() -> int:
    """Compile the numeric kernels ahead of the first start. Once for each installation is enough.

    It compiles those of the default objective. If another objective is configured, ``serve`` compiles what it needs
    before it reads its first message.

    Example: ``betapack warm``
    """
    from solver.warm import warm_hedging, warm_models, warm_packing

    # A process each: numba compiles one kernel at a time.
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as processes:
        for compiling in [processes.submit(part) for part in (warm_packing, warm_hedging, warm_models)]:
            compiling.result()
    return EXIT_DONE
