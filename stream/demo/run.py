"""Starts the demo's parts, feeds them, watches their outputs, and ends them in order."""

from __future__ import annotations

import math
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import date, timedelta
from importlib.resources import files
from io import StringIO
from pathlib import Path

import msgspec
from rich.console import Console, RenderableType
from rich.live import Live

from schemas.outbound import Alert, HedgeSuggestion, Model, ResidualExposure
from schemas.topics import TOPIC_OF, TOPICS
from schemas.wire import decode
from stream.config import Config, load_config
from stream.config.kafka import KafkaSettings
from stream.demo.flow import ClientFlow
from stream.demo.rates import Day, read_days, ticks_of
from stream.demo.screen import Desk, one_line, render
from stream.errors import ConfigError, DemoFailed
from stream.events.encode import Encoder
from stream.kafka.consume import KafkaReader
from stream.kafka.local.broker import LocalBroker
from stream.kafka.local.child_process import ChildProcess, output_tail
from stream.kafka.publish import KafkaWriter
from stream.kafka.topics import create_topics, delete_topics

HISTORY = timedelta(days=2 * 366 + 14)
"""Two years of fixings before the first live day, for the models, and some days to spare."""

SERVICE_STOP_TIMEOUT_S = 15.0
START_TIMEOUT_S = 120.0
FRAMES_PER_SECOND = 5
LINE_EVERY_S = 3.0
PICTURE_COLUMNS = 132

OUTPUTS: dict[str, type[ResidualExposure] | type[HedgeSuggestion] | type[Alert] | type[Model]] = {
    TOPIC_OF[kind].name: kind for kind in (ResidualExposure, HedgeSuggestion, Alert, Model)
}


@dataclass(frozen=True)
class DemoSettings:
    """With `seconds` None the demo runs to the end of the rates, with `bootstrap` None on a Kafka of its own."""

    seconds: float | None
    bootstrap: str | None
    start: date
    days_per_second: float
    seed: int
    picture: Path | None = None


def run_demo(settings: DemoSettings, stop: Callable[[], bool]) -> bool:
    """Run the demo until it ends or `stop` says so. Returns whether hedge suggestions were published."""
    console = Console()
    config_file = Path(str(files("stream.demo") / "demo.toml"))
    config = load_config(config_file)
    days = read_days(config.universe.assets, settings.start - HISTORY)
    history = [day for day in days if day.date < settings.start]
    live = [day for day in days if day.date >= settings.start]
    needed = config.reversion.window_steps
    if len(history) <= needed or not live:
        raise ConfigError(
            f"--start must leave more than {needed} days of rates before it and some after, got {settings.start}: "
            f"there are {len(history)} and {len(live)}"
        )
    with ExitStack() as parts:
        folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="betapack-demo-")))
        kafka, prefix = parts.enter_context(_kafka(settings, config))
        config = msgspec.structs.replace(
            config, kafka=kafka, topics=msgspec.structs.replace(config.topics, prefix=prefix)
        )
        own_config = folder / "demo.toml"
        web = f"127.0.0.1:{_web_port(config.metrics.port)}"
        own = f'\n[topics]\nprefix = "{prefix}"\n\n[kafka]\ngroup = "{kafka.group}"\n'
        own += f"\n[metrics]\nport = {web.partition(':')[2]}\n"
        own_config.write_text(config_file.read_text(encoding="utf-8") + own, encoding="utf-8")
        service = _start_service(own_config, kafka.bootstrap, folder)
        parts.callback(service.stop, SERVICE_STOP_TIMEOUT_S)
        writer = parts.enter_context(closing(KafkaWriter(kafka)))
        reader = parts.enter_context(closing(KafkaReader(kafka, [prefix + name for name in OUTPUTS])))
        reader.seek(reader.low_watermarks())
        desk = Desk([book.name for book in config.books], config.universe.numeraire)
        show = Demo(settings, config, service, writer, reader, desk, stop)
        say(f"what-ifs, frontiers and metrics: http://{web}")
        say(f"fitting the models on {len(history)} days from {history[0].date} to {history[-1].date}")
        show.warm_up(history)
        if console.is_terminal:
            with Live(console=console, auto_refresh=False) as screen:

                def draw(now_s: float) -> None:
                    screen.update(render(desk, kafka.bootstrap, web, now_s), refresh=True)

                show.replay(live, draw, 1 / FRAMES_PER_SECOND)
        else:
            show.replay(live, lambda now_s: print(one_line(desk, now_s), flush=True), LINE_EVERY_S)
        if settings.picture is not None:
            draw_picture(settings.picture, render(desk, kafka.bootstrap, web, time.monotonic()))
        summarise(desk, console)
    return desk.trades_suggested > 0


class Demo:
    """The feeds of one running service, and the reader of its outputs.

    Parameters
    ----------
    settings : of the demo.
    config : of the service.
    service : runs with `config`.
    writer, reader : of its inputs and outputs.
    desk : keeps what the reader sees.
    stop : says whether to end early."""

    def __init__(
        self,
        settings: DemoSettings,
        config: Config,
        service: ChildProcess,
        writer: KafkaWriter,
        reader: KafkaReader,
        desk: Desk,
        stop: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._config = config
        self._service = service
        self._writer = writer
        self._reader = reader
        self._desk = desk
        self._stop = stop
        self._encoder = Encoder(config.topics.prefix, "/betapack/demo")
        self._flow = ClientFlow(settings.seed)
        self._sent_at_s: dict[tuple[str, int], float] = {}
        self._shown_s = 0.0

    def warm_up(self, history: list[Day]) -> None:
        """Send the years before the first live day at once, and wait until the models are fitted on them."""
        for day in history:
            self._send_ticks(day)
        for position in self._flow.opening(history[-1]):
            self._encoder.send(self._writer, position)
            self._desk.sent += 1
        self._writer.flush()
        # The opening positions come last in event time: when each book is solved, so is the whole history.
        give_up_s = time.monotonic() + START_TIMEOUT_S
        while len(self._desk.residuals) < len(self._desk.books):
            self._read(0.2)
            if self._stop():
                return
            if time.monotonic() > give_up_s:
                tail = output_tail(self._service.output_file)
                raise DemoFailed(f"the service fitted no model within {START_TIMEOUT_S:.0f} s:\n{tail}")

    def replay(self, days: list[Day], show: Callable[[float], None], show_every_s: float) -> None:
        """Send `days` at the set speed and show what comes out, until the end, the set time or a stop."""
        day_s = 1 / self._settings.days_per_second
        begun_s = time.monotonic()
        end_s = begun_s + (self._settings.seconds if self._settings.seconds is not None else math.inf)
        for count, day in enumerate(days):
            day_begun_s = begun_s + count * day_s
            if not self._watch(day_begun_s, end_s, show, show_every_s):
                break
            self._send_ticks(day)
            self._writer.flush()
            positions = list(self._flow.trades(day))
            for number, position in enumerate(positions, start=1):
                # Clients trade all day, not all at once.
                if not self._watch(day_begun_s + day_s * number / (len(positions) + 1), end_s, show, show_every_s):
                    break
                assert position.event_time_ns is not None
                self._sent_at_s[position.book, position.event_time_ns] = time.monotonic()
                self._encoder.send(self._writer, position)
                self._writer.flush()
                self._desk.sent += 1
        show(time.monotonic())

    def _watch(self, until_s: float, end_s: float, show: Callable[[float], None], show_every_s: float) -> bool:
        """Read the outputs until `until_s`, showing them now and then; False when the replay must end."""
        while True:
            now_s = time.monotonic()
            if self._stop() or now_s >= end_s:
                return False
            self._read(max(0.0, min(until_s, end_s) - now_s))
            if now_s - self._shown_s >= show_every_s:
                show(now_s)
                self._shown_s = now_s
            if time.monotonic() >= until_s:
                return True

    def _send_ticks(self, day: Day) -> None:
        for tick in ticks_of(day, self._config):
            self._encoder.send(self._writer, tick)
            self._desk.sent += 1

    def _read(self, timeout_s: float) -> None:
        if self._service.exit_code is not None:
            tail = output_tail(self._service.output_file)
            raise DemoFailed(f"the service ended by itself with exit code {self._service.exit_code}:\n{tail}")
        for record in self._reader.poll(math.ceil(timeout_s * 1000)):
            topic = record.topic.removeprefix(self._config.topics.prefix)
            assert record.value is not None
            message = decode(OUTPUTS[topic], record.value, dict(record.headers)["content-type"].decode())
            self._desk.take(topic, message)
            if isinstance(message, ResidualExposure) and message.trigger == "position":
                sent_s = self._sent_at_s.pop((message.book, message.event_time_ns), None)
                if sent_s is not None:
                    self._desk.latencies_s.append(time.monotonic() - sent_s)


@contextmanager
def _kafka(settings: DemoSettings, config: Config) -> Iterator[tuple[KafkaSettings, str]]:
    """A Kafka with the demo's topics and their prefix: a local one, or the named one with topics of the demo's own."""
    if settings.bootstrap is None:
        with LocalBroker(say=say) as broker:
            kafka = msgspec.structs.replace(config.kafka, bootstrap=broker.bootstrap)
            create_topics(kafka, TOPICS)
            yield kafka, ""
        return
    # This Kafka has other users, so the topics have names of their own and are deleted at the end.
    prefix = f"betapack-demo-{secrets.token_hex(4)}."
    kafka = msgspec.structs.replace(config.kafka, bootstrap=settings.bootstrap, group=f"{prefix}group")
    created = create_topics(kafka, TOPICS, prefix)
    say(f"created {len(created)} topics {prefix}* on {settings.bootstrap}, to be deleted at the end")
    try:
        yield kafka, prefix
    finally:
        delete_topics(kafka, created)


def _web_port(usual: int) -> int:
    """The port `usual`, where the commands look by default, or a free one while that is taken."""
    for port in (usual, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            taken: int = probe.getsockname()[1]
            return taken
    raise DemoFailed("no free port on 127.0.0.1")


def _start_service(config_file: Path, bootstrap: str, folder: Path) -> ChildProcess:
    command = [sys.executable, "-m", "stream.cli", "serve", "--config", str(config_file), "--bootstrap", bootstrap]
    return ChildProcess(command, folder / "service.log")


def draw_picture(path: Path, screen: RenderableType) -> None:
    """Write `screen` to `path` as SVG."""
    console = Console(record=True, width=PICTURE_COLUMNS, file=StringIO(), force_terminal=True)
    console.print(screen)
    console.save_svg(str(path), title="betapack demo")


def say(text: str) -> None:
    """Print to stderr: stdout is for the desk."""
    print(text, file=sys.stderr, flush=True)


def summarise(desk: Desk, console: Console) -> None:
    """Print what was sent and received, in a few lines."""
    latency = desk.latency_ms()
    lines = ["", f"sent      {desk.sent:,} ticks and positions"]
    lines += [f"received  {desk.received.get(name, 0):,} {name}" for name in OUTPUTS]
    if latency:
        lines.append(f"latency   position to residual p50 {latency[0]:.1f} ms, p99 {latency[1]:.1f} ms")
    lines += [f"{book:9} {desk.suggestions[book].reason}" for book in desk.books if book in desk.suggestions]
    if not desk.trades_suggested:
        lines.append("no hedge suggestion was published")
    console.print("\n".join(lines), soft_wrap=True)
