"""`betapack serve`: connects the worker to Kafka and to Prometheus, and runs it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

from schemas.topics import TOPICS
from solver.warm import warm_kernels
from stream.clock import SystemClock
from stream.config import Config
from stream.consume import KafkaReader
from stream.loop import Worker, input_topics, topic_names
from stream.market import reversion_settings
from stream.publish import KafkaWriter
from stream.refit_process import RefitProcess
from stream.telemetry.events import log_event, log_to_stderr
from stream.telemetry.metrics import Metrics
from stream.topics import check_topics
from stream.web.process import WebProcess


def run_service(config: Config, *, rebuild: bool, stop: Callable[[], bool]) -> int:
    """Run until `stop`. Raises BetapackError when it cannot start or go on; returns the exit code 0."""
    log_to_stderr()
    metrics = Metrics()
    with WebProcess(config, metrics.exposition) as web:
        log_event("starting", universe=config.universe.name, kafka=config.kafka.bootstrap, metrics_port=web.port)
        # Before the first message: a kernel that compiles while messages wait looks like a stall.
        warm_kernels(config.solver.minimised, config.reversion.methods, config.covariance.kind)
        names = topic_names(config)
        check_topics(config.kafka, TOPICS, config.topics.prefix)
        with (
            closing(KafkaReader(config.kafka, input_topics(config))) as inputs,
            closing(KafkaReader(config.kafka, [names["state"]])) as states,
            closing(KafkaWriter(config.kafka)) as writer,
            ThreadPoolExecutor(config.solver.threads, "pack") as pool,
            RefitProcess(config.universe.assets, reversion_settings(config.reversion), metrics.observe_refit) as refits,
        ):
            worker = Worker(
                config,
                inputs,
                writer,
                None if rebuild else states,
                SystemClock(),
                metrics,
                map_over=pool.map,
                submit=refits.submit,
                views=web,
            )
            states.close()
            log_event("running")
            worker.run(stop)
        log_event("stopped", timestep=worker.state.timesteps.last_closed)
    return 0
