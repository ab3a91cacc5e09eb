"""Runs the benchmarks that were asked for, and writes their figures to a file."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from solver.warm import warm_kernels
from stream.bench.figures import Comparison, markdown, report
from stream.bench.hedging.run import hedging_figures
from stream.bench.models.gate.run import QUICK_GATE, GateEffort, gate_figures
from stream.bench.models.run import QUICK_MODELS, ModelsEffort, models_figures
from stream.bench.packing.run import QUICK, PackingEffort, packing_figures
from stream.bench.stream.run import full_path_against_bare_consumer, position_to_suggestion_against_echo
from stream.bench.stream.what_if import what_ifs_beside_the_stream
from stream.bench.studies.desk import desk_figures
from stream.bench.studies.validate import validation_figures
from stream.config.kafka import KafkaSettings
from stream.kafka.local.broker import KAFKA_VERSION, LocalBroker

Subject: TypeAlias = Literal["all", "packing", "hedging", "models", "gate", "validation", "desk", "stream"]


@dataclass(frozen=True)
class BenchSettings:
    """What to measure, and how much of it; see the command line's help."""

    subject: Subject
    output: Path
    bootstrap: str | None
    ticks: int
    positions: int
    data: Path | None
    scip_seconds: float
    quick: bool


def run_bench(settings: BenchSettings, say: Callable[[str], None]) -> str:
    """Write the figures to `settings.output` and return them as a Markdown table."""

    def wanted(subject: Subject) -> bool:
        return settings.subject in ("all", subject)

    say("compiling kernels")
    warm_kernels()
    figures: list[Comparison] = []
    label = ""
    if wanted("packing"):
        effort = replace(QUICK if settings.quick else PackingEffort(), scip_limit_s=settings.scip_seconds)
        figures += packing_figures(effort, settings.data, say)
    if wanted("hedging"):
        figures += hedging_figures(say, books=100 if settings.quick else 1_000)
    if wanted("models"):
        figures += models_figures(QUICK_MODELS if settings.quick else ModelsEffort(), settings.data, say)
    if wanted("gate"):
        figures += gate_figures(QUICK_GATE if settings.quick else GateEffort(), settings.data, say)
    if wanted("validation") and not settings.quick:  # it has no shorter form
        figures += validation_figures(settings.data, say)
    if wanted("desk"):
        figures += desk_figures(None, say, seeds=2) if settings.quick else desk_figures(settings.data, say)
    if wanted("stream"):
        with (
            tempfile.TemporaryDirectory(prefix="betapack-bench-") as folder_name,
            _kafka(settings.bootstrap, say) as (kafka, label),
        ):
            folder = Path(folder_name)
            say(f"{settings.ticks:,} ticks through the service and a bare consumer")
            figures.append(full_path_against_bare_consumer(kafka, folder, settings.ticks))
            say(f"{settings.positions:,} positions to suggestions, and to their echo")
            figures += position_to_suggestion_against_echo(kafka, folder, settings.positions)
            say(f"{settings.positions:,} positions to suggestions beside what-ifs, and without")
            figures += what_ifs_beside_the_stream(kafka, folder, settings.positions)
    run = report(label, figures)
    settings.output.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=2) + b"\n")
    say(f"wrote {settings.output}")
    return markdown(run)


@contextmanager
def _kafka(bootstrap: str | None, say: Callable[[str], None]) -> Iterator[tuple[KafkaSettings, str]]:
    if bootstrap is not None:
        yield KafkaSettings(bootstrap=bootstrap), f"Apache Kafka at {bootstrap}"
        return
    with LocalBroker(say=say) as broker:
        yield KafkaSettings(bootstrap=broker.bootstrap), f"Apache Kafka {KAFKA_VERSION} on the same machine"
