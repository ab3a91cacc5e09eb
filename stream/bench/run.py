"""Runs every benchmark on one machine and one broker, and keeps the figures."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from solver.warm import warm_kernels
from stream.bench.result import markdown, report
from stream.bench.solver import johansen_against_statsmodels, warm_against_cold
from stream.bench.stream import full_path_against_bare_consumer, position_to_suggestion_against_echo
from stream.broker import KAFKA_VERSION, LocalBroker
from stream.log import KafkaSettings


def run_bench(output: Path, bootstrap: str | None, ticks: int, positions: int, say: Callable[[str], None]) -> str:
    """Write the figures to `output` and return them as a Markdown table."""
    say("compiling kernels")
    warm_kernels()
    with tempfile.TemporaryDirectory(prefix="betapack-bench-") as folder_name, _kafka(bootstrap, say) as (kafka, label):
        folder = Path(folder_name)
        say("warm against cold packing")
        comparisons = [warm_against_cold()]
        say("Johansen against statsmodels")
        comparisons.append(johansen_against_statsmodels())
        say(f"{ticks:,} ticks through the service and a bare consumer")
        comparisons.append(full_path_against_bare_consumer(kafka, folder, ticks))
        say(f"{positions:,} positions to suggestions, and to their echo")
        comparisons += position_to_suggestion_against_echo(kafka, folder, positions)
    run = report(label, comparisons)
    output.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=2) + b"\n")
    say(f"wrote {output}")
    return markdown(run)


@contextmanager
def _kafka(bootstrap: str | None, say: Callable[[str], None]) -> Iterator[tuple[KafkaSettings, str]]:
    if bootstrap is not None:
        yield KafkaSettings(bootstrap=bootstrap), f"Apache Kafka at {bootstrap}"
        return
    with LocalBroker(say=say) as broker:
        yield KafkaSettings(bootstrap=broker.bootstrap), f"Apache Kafka {KAFKA_VERSION} on the same machine"
