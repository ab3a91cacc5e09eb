"""`betapack serve`: connects the worker to Kafka and to Prometheus, and runs it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from schemas.topics import CORRECTIONS, TOPICS
from solver.warm import warm_kernels
from stream.clock import SystemClock
from stream.config import Config
from stream.config.reversion import reversion_settings
from stream.kafka.consume import KafkaReader
from stream.kafka.publish import KafkaWriter
from stream.kafka.topic_facts import LogFacts
from stream.kafka.topic_settings import Finding, check_settings, findings
from stream.kafka.topics import check_topics
from stream.kafka.watch import TopicWatch
from stream.telemetry.metrics import Metrics
from stream.telemetry.notices import notice, notices_to_stderr
from stream.web.process import WebProcess
from stream.worker.loop import Connections, Surroundings, Worker
from stream.worker.refit_process import RefitProcess


def run_service(config: Config, *, rebuild: bool, stop: Callable[[], bool]) -> int:
    """Run until `stop`. Raises BetapackError when it cannot start or continue; returns the exit code 0."""
    notices_to_stderr()
    metrics = Metrics()
    with WebProcess(config, metrics.exposition) as web:
        notice("starting", universe=config.universe.name, kafka=config.kafka.bootstrap, metrics_port=web.port)
        # Before the first message: a kernel that compiles while messages wait looks like a stall.
        warm_kernels(config.solver.minimised, config.reversion.methods, config.covariance.kind)
        names = config.topics.names()
        check_topics(config.kafka, TOPICS, config.topics.prefix)
        with (
            closing(TopicWatch(config.kafka, list(names.values()))) as topics,
            closing(KafkaReader(config.kafka, config.topics.inputs())) as inputs,
            closing(KafkaReader(config.kafka, [names["state"]])) as states,
            closing(KafkaReader(config.kafka, [names[CORRECTIONS]])) as corrections,
            closing(KafkaWriter(config.kafka)) as writer,
            ThreadPoolExecutor(config.solver.threads, "pack") as pool,
            RefitProcess(config.universe.assets, reversion_settings(config.reversion), metrics.observe_refit) as refits,
        ):
            said = SettingsNotices(config.topics.prefix)
            check_settings(said.note(topics.latest()))
            worker = Worker(
                config,
                Connections(inputs, writer, states, corrections, lambda: said.noted(topics.latest()), rebuild),
                Surroundings(SystemClock(), metrics, map_over=pool.map, submit=refits.submit, views=web),
            )
            states.close()
            notice("running")
            worker.run(stop)
        notice("stopped", timestep=worker.state.timesteps.last_closed)
    return 0


class SettingsNotices:
    """Says each finding about the topics' settings once, and once more where it was mended meanwhile."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._said: set[Finding] = set()
        self._facts: LogFacts | None = None

    def note(self, facts: LogFacts) -> list[Finding]:
        """All findings in `facts`. Those that are new are said."""
        found = findings(facts, TOPICS, self._prefix)
        for finding in found:
            if finding not in self._said:
                level = logging.ERROR if finding.severity == "error" else logging.WARNING
                notice("topic-setting", level, **{finding.topic: finding.setting, "is": finding.text})
        self._said, self._facts = set(found), facts
        return found

    def noted(self, facts: LogFacts) -> LogFacts:
        """`facts`, after a look at what they say of the settings where they are new."""
        if facts is not self._facts:
            self.note(facts)
        return facts
