"""The service as a process, on Apache Kafka: what goes in by hand comes out as messages, over crash and restart."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import msgspec
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.admin import ConfigResource, ConfigResourceType

from schemas.inbound import Tick
from schemas.topics import TOPICS
from stream.config import Config, load_config
from stream.config.kafka import MAX_RECORD_BYTES, KafkaSettings
from stream.errors import PublishFailed
from stream.events.encode import Encoder
from stream.kafka.connection import open_client
from stream.kafka.consume import KafkaReader
from stream.kafka.local.child_process import ChildProcess, output_tail
from stream.kafka.log import Record
from stream.kafka.publish import KafkaWriter
from stream.kafka.topics import create_topics, delete_topics

# Services start and stop here, several in some tests: on a machine with much else to do a start takes many seconds.
pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

START_NS = 1_748_851_200 * 1_000_000_000
SECOND_NS = 1_000_000_000
ANSWER_TIMEOUT_S = 30.0


@pytest.fixture
def service_config(
    desk_toml: str, settings: KafkaSettings, prefix: str, tmp_path: Path
) -> Iterator[tuple[Path, Config]]:
    path = tmp_path / "desk.toml"
    # The silence of a test's feed is longer than any test; snapshots come at every commit.
    text = desk_toml.replace("max_price_age_s = 5.0", "max_price_age_s = 5.0\nfeed_silent_after_s = 600.0")
    path.write_text(
        f'{text}\n[topics]\nprefix = "{prefix}"\n[metrics]\nport = 0\n[snapshot]\nevery_s = 0.001\n'
        f'[kafka]\nbootstrap = "{settings.bootstrap}"\ngroup = "{settings.group}"\n'
    )
    created = create_topics(settings, TOPICS, prefix)
    yield path, load_config(path)
    delete_topics(settings, created)


@pytest.fixture
def start(service_config: tuple[Path, Config], tmp_path: Path) -> Iterator[Callable[[], ChildProcess]]:
    """Starts `betapack serve`, as often as asked; ends what still runs."""
    running: list[ChildProcess] = []

    def serve() -> ChildProcess:
        command = [sys.executable, "-m", "stream.cli", "serve", "--config", str(service_config[0])]
        child = ChildProcess(command, tmp_path / f"service-{len(running)}.log")
        running.append(child)
        deadline = time.monotonic() + 60
        while " running" not in output_tail(child.output_file):
            assert child.exit_code is None, output_tail(child.output_file)
            assert time.monotonic() < deadline, output_tail(child.output_file)
            time.sleep(0.05)
        return child

    yield serve
    for child in running:
        if child.exit_code is None:
            child.stop(timeout_s=15)


class Outputs:
    """Reads output topics as any client would."""

    def __init__(self, settings: KafkaSettings, prefix: str, *topics: str) -> None:
        self._prefix = prefix
        self._reader = KafkaReader(settings, [prefix + topic for topic in topics])
        self._reader.seek(self._reader.low_watermarks())
        self.records: list[Record] = []
        self._waiting: list[tuple[str, dict[str, Any]]] = []

    def until(self, wanted: Callable[[str, dict[str, Any]], bool]) -> dict[str, Any]:
        """The first message that is `wanted` and was not returned before; topics have no order among each other."""
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while True:
            for index, (topic, message) in enumerate(self._waiting):
                if wanted(topic, message):
                    del self._waiting[index]
                    return message
            assert time.monotonic() < deadline, f"no such message among {len(self.records)}"
            for record in self._reader.poll(200):
                self.records.append(record)
                assert record.value is not None
                self._waiting.append((record.topic.removeprefix(self._prefix), json.loads(record.value)))

    def close(self) -> None:
        self._reader.close()


@pytest.fixture
def read(settings: KafkaSettings, prefix: str) -> Iterator[Callable[..., Outputs]]:
    """Opens readers of output topics."""
    with ExitStack() as opened:
        yield lambda *topics: opened.enter_context(closing(Outputs(settings, prefix, *topics)))


@pytest.fixture
def writer(settings: KafkaSettings) -> Iterator[KafkaWriter]:
    with closing(KafkaWriter(settings)) as writer:
        yield writer


def quotes(config: Config, mids: Any, first: int, last: int) -> Iterator[Tick]:
    """A quote of every instrument in each of the seconds [first, last)."""
    for second in range(first, last):
        eurusd, usdchf, usdjpy = mids[second].tolist()
        for index, (instrument, mid) in enumerate(
            zip(config.instruments, (eurusd, usdchf, usdjpy, eurusd * usdchf), strict=True)
        ):
            at_ns = START_NS + second * SECOND_NS + 100_000_000 * (index + 1)
            yield Tick(instrument=instrument.name, event_time_ns=at_ns, bid=mid * 0.99998, ask=mid * 1.00002)


def feed_one_by_one(writer: KafkaWriter, encoder: Encoder, outputs: Outputs, ticks: Iterator[Tick]) -> None:
    """Each second once the model of the one before is there: a live feed leaves refits their time."""
    last = None
    for tick in ticks:
        second = tick.event_time_ns // SECOND_NS
        if last is not None and second > last > START_NS // SECOND_NS:
            writer.flush()
            outputs.until(lambda topic, message, last=last: topic == "models" and message["timestep"] == last)
        encoder.send(writer, tick)
        last = second
    writer.flush()


def test_by_hand(
    service_config: tuple[Path, Config],
    start: Callable[[], ChildProcess],
    writer: KafkaWriter,
    read: Callable[..., Outputs],
    prefix: str,
    mid_prices: Callable[[int, int], Any],
) -> None:
    """A position written by hand changes its book within a second; what cannot be read lands in dead-letters.

    The answer names the record it answers, a breach comes with trades and one alert, the metrics tell of all of it, and
    SIGTERM ends the service with exit code 0.
    """
    _, config = service_config
    child = start()
    outputs = read("residual-exposure", "hedge-suggestions", "alerts", "dead-letters", "models")
    encoder = Encoder(prefix, "/test")
    closed = START_NS // SECOND_NS + 119
    feed_one_by_one(writer, encoder, outputs, quotes(config, mid_prices(120, 3), 0, 120))
    outputs.until(lambda topic, message: topic == "models" and message["timestep"] >= closed and bool(message["betas"]))

    # No header, no event time, no key beyond the book: what a person types.
    now_ms = time.time_ns() // 1_000_000
    writer.send(f"{prefix}positions", b"spot", b'{"book": "spot", "asset": "EUR", "quantity": 1e7}', (), now_ms)
    writer.flush()
    written_s = time.monotonic()
    residual = outputs.until(lambda topic, message: topic == "residual-exposure")
    assert time.monotonic() - written_s < 1.0
    assert residual["trigger"] == "position"
    assert residual["trigger_source"].startswith(f"{prefix}positions[")
    (position,) = residual["positions"]
    assert position["asset"] == "EUR"
    assert position["exposure"] == pytest.approx(1e7 * mid_prices(120, 3)[118][0], rel=1e-3)
    assert residual["limit_share"] > 1
    suggestion = outputs.until(lambda topic, message: topic == "hedge-suggestions")
    assert suggestion["residual_exposure_id"] == residual["id"]
    assert suggestion["trades"][0]["side"] == "sell"
    alert = outputs.until(lambda topic, message: topic == "alerts")
    assert (alert["kind"], alert["state"], alert["subject"]) == ("limit-breach", "raised", "spot")

    writer.send(f"{prefix}positions", b"spot", b'{"book": "spot", "asset": ', (), now_ms)
    writer.send(f"{prefix}positions", b"nobody", b'{"book": "nobody", "asset": "EUR", "quantity": 1}', (), now_ms)
    writer.flush()
    reasons = [outputs.until(lambda topic, message: topic == "dead-letters")["reason"] for _ in range(2)]
    assert sorted(reasons) == ["undecodable", "unknown-book"]

    port = next(
        word.partition("=")[2]
        for word in output_tail(child.output_file, 100).split()
        if word.startswith("metrics_port=")
    )
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
        metrics = page.read().decode()
    assert 'betapack_messages_bad_total{reason="unknown-book",topic="' in metrics
    assert 'betapack_limit_share_ratio{book="spot"}' in metrics
    assert "betapack_packing_solves_proven_total" in metrics
    child.stop(timeout_s=15)
    assert child.exit_code == 0, output_tail(child.output_file)


def test_a_what_if(
    service_config: tuple[Path, Config],
    start: Callable[[], ChildProcess],
    writer: KafkaWriter,
    read: Callable[..., Outputs],
    prefix: str,
    mid_prices: Callable[[int, int], Any],
) -> None:
    """What the running service says of a trade is what it publishes once a position says that the trade was done.

    By the commands, as a trader asks; they exit with 1 for a book over its limit. Asking publishes nothing.
    """
    _, config = service_config
    child = start()
    outputs = read("residual-exposure", "hedge-suggestions", "models")
    encoder = Encoder(prefix, "/test")
    for tick in quotes(config, mid_prices(120, 3), 0, 120):
        encoder.send(writer, tick)
    writer.flush()
    closed = START_NS // SECOND_NS + 119
    outputs.until(lambda topic, message: topic == "models" and message["timestep"] >= closed and bool(message["betas"]))
    now_ms = time.time_ns() // 1_000_000

    def hold(quantity: float) -> dict[str, Any]:
        value = json.dumps({"book": "spot", "asset": "EUR", "quantity": quantity}).encode()
        writer.send(f"{prefix}positions", b"spot", value, (), now_ms)
        writer.flush()
        return outputs.until(lambda topic, message: topic == "residual-exposure" and message["trigger"] == "position")

    before = hold(1e5)
    assert before["limit_share"] < 1
    port = next(
        word.partition("=")[2]
        for word in output_tail(child.output_file, 100).split()
        if word.startswith("metrics_port=")
    )
    command = [sys.executable, "-m", "stream.cli", "what-if", "--url", f"http://127.0.0.1:{port}", "--book", "spot"]

    def asked(*trade: str) -> tuple[int, dict[str, Any]]:
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while True:
            ended = subprocess.run(
                [*command, "--json", *trade], capture_output=True, text=True, timeout=60, check=False
            )
            if ended.returncode != 3:
                assert not ended.stderr
                return ended.returncode, json.loads(ended.stdout)
            assert time.monotonic() < deadline, ended.stderr
            time.sleep(0.1)

    code, nothing = asked()
    assert code == 0
    assert nothing["residual"]["unhedged_risk"] == before["unhedged_risk"]
    code, answer = asked("--trade", "EUR=1e7")
    assert code == 1
    after = hold(1e5 + 1e7)
    suggestion = outputs.until(lambda topic, message: topic == "hedge-suggestions")
    for name in ("positions", "packed", "unhedged_risk", "basis_risk", "limit_share", "objective", "proven"):
        assert answer["residual"][name] == after[name]
    for name in ("trades", "risk_after", "expected_cost", "status"):
        assert answer["suggestion"][name] == suggestion[name]
    assert not [record for record in outputs.records if b"what-if" in (record.value or b"")]
    page = child.output_file.parent / "frontier.html"
    ask = [*command[:3], "frontier", *command[4:], "--points", "5", "--output", str(page)]
    # The service hands its state on after the turn whose outputs were read above.
    deadline = time.monotonic() + ANSWER_TIMEOUT_S
    while True:
        frontier = subprocess.run(ask, capture_output=True, text=True, timeout=60, check=False)
        assert frontier.returncode == 0, frontier.stderr
        if "suggested: " in frontier.stdout:
            break
        assert time.monotonic() < deadline, frontier.stdout
        time.sleep(0.1)
    assert "<svg" in page.read_text()


def test_kill_and_restart(
    service_config: tuple[Path, Config],
    start: Callable[[], ChildProcess],
    writer: KafkaWriter,
    read: Callable[..., Outputs],
    prefix: str,
    mid_prices: Callable[[int, int], Any],
) -> None:
    """After kill -9 a new process goes on: no timestep is missing, and what comes twice has the same bytes."""
    _, config = service_config
    mids = mid_prices(160, 5)
    encoder = Encoder(prefix, "/test")
    outputs = read("residual-exposure", "models")
    first = START_NS // SECOND_NS

    def in_order(tick: Tick) -> None:
        """As a live feed does: what is older is in the log first. Disorder between partitions is for transactions."""
        encoder.send(writer, tick)
        writer.flush()

    child = start()
    for tick in quotes(config, mids, 0, 100):
        in_order(tick)
    position = b'{"book": "spot", "asset": "CHF", "quantity": -3e6, "event_time_ns": %d}' % (
        START_NS + 90 * SECOND_NS + 7
    )
    writer.send(f"{prefix}positions", b"spot", position, (), START_NS // 1_000_000 + 90_000)
    writer.flush()
    outputs.until(lambda topic, message: topic == "models" and message["timestep"] == first + 95)
    child.kill()
    for tick in quotes(config, mids, 100, 140):
        in_order(tick)
    writer.flush()
    start()
    outputs.until(lambda topic, message: topic == "models" and message["timestep"] == first + 139)
    for tick in quotes(config, mids, 140, 160):
        in_order(tick)
    writer.flush()
    for last in ("models", "residual-exposure"):
        outputs.until(lambda topic, message, last=last: topic == last and message["timestep"] == first + 159)

    bytes_of: dict[str, bytes] = {}
    timesteps = set()
    published = [(record.value, json.loads(record.value)) for record in outputs.records if record.value is not None]
    # What the clock delayed on a busy machine, the models say; from there on another process may have other β.
    late = min((message["timestep"] for _, message in published if message.get("refit_late")), default=first + 160)
    for record, (value, message) in zip(outputs.records, published, strict=True):
        assert bytes_of.setdefault(message["id"], value) == value or message["timestep"] >= late
        if record.topic.endswith("models"):
            timesteps.add(message["timestep"])
    assert timesteps == set(range(first + 1, first + 160))


def test_a_changed_universe_is_refused(
    service_config: tuple[Path, Config],
    start: Callable[[], ChildProcess],
    writer: KafkaWriter,
    read: Callable[..., Outputs],
    prefix: str,
    mid_prices: Callable[[int, int], Any],
    tmp_path: Path,
) -> None:
    """A snapshot of another universe stops the start with exit code 3 and the way out, and --rebuild takes it."""
    path, config = service_config
    child = start()
    encoder = Encoder(prefix, "/test")
    outputs = read("models")
    for tick in quotes(config, mid_prices(10, 1), 0, 10):
        encoder.send(writer, tick)
    writer.flush()
    outputs.until(lambda topic, message: message["timestep"] >= START_NS // SECOND_NS + 5)
    child.stop(timeout_s=15)
    path.write_text(path.read_text().replace("max_price_age_s = 5.0", "max_price_age_s = 6.0"))
    command = [sys.executable, "-m", "stream.cli", "serve", "--config", str(path)]
    refused = ChildProcess(command, tmp_path / "refused.log")
    assert refused.wait(timeout_s=60) == 3
    refused.stop(timeout_s=1)
    assert "--rebuild" in output_tail(refused.output_file)
    rebuilt = ChildProcess([*command, "--rebuild"], tmp_path / "rebuilt.log")
    deadline = time.monotonic() + 60
    while " running" not in output_tail(rebuilt.output_file):
        assert rebuilt.exit_code is None, output_tail(rebuilt.output_file)
        assert time.monotonic() < deadline
        time.sleep(0.05)
    rebuilt.stop(timeout_s=15)
    assert rebuilt.exit_code == 0


def test_topics_that_change_end_the_service_and_bad_settings_stop_its_start(
    service_config: tuple[Path, Config],
    start: Callable[[], ChildProcess],
    settings: KafkaSettings,
    prefix: str,
    tmp_path: Path,
) -> None:
    """Partitions that are added: exit code 3 with the reason, and the supervisor's restart reads them. A compacted
    `hedge-status`: said while it runs, refused at a start and by `betapack topics`.
    """
    path, _ = service_config
    path.write_text(path.read_text().replace("[kafka]\n", "[kafka]\nmetadata_max_age_s = 0.2\n"))
    admin = open_client(KafkaAdminClient, settings)
    with closing(admin):
        child = start()
        admin.create_partitions({f"{prefix}positions": 6})
        assert child.wait(timeout_s=60) == 3
        assert f"{prefix}positions has 6 partitions since somebody added some" in output_tail(child.output_file)
        again = start()
        assert f"{prefix}positions[5]=0" in again.output_file.read_text()
        compacted = {"cleanup.policy": "compact"}
        admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, f"{prefix}hedge-status", compacted)])
        deadline = time.monotonic() + 30
        while "topic-setting" not in output_tail(again.output_file):
            assert time.monotonic() < deadline, output_tail(again.output_file)
            time.sleep(0.1)
        assert again.exit_code is None
        again.stop(timeout_s=15)
    for command in ("serve", "topics"):
        refused = ChildProcess(
            [sys.executable, "-m", "stream.cli", command, "--config", str(path)], tmp_path / f"{command}.log"
        )
        assert refused.wait(timeout_s=60) == 3
        refused.stop(timeout_s=1)
        assert f"{prefix}hedge-status: cleanup.policy: compact, expected delete" in output_tail(refused.output_file)


def test_a_record_as_large_as_the_topic_takes_does_not_stop_the_service(
    start: Callable[[], ChildProcess],
    writer: KafkaWriter,
    read: Callable[..., Outputs],
    prefix: str,
) -> None:
    """Unreadable and as large as `ticks` allows: it lands in dead-letters whole, and the service goes on."""
    child = start()
    outputs = read("dead-letters")
    junk = b"\xff" * (MAX_RECORD_BYTES // 4 - 1000)
    writer.send(f"{prefix}ticks", b"EURUSD", junk, (), START_NS // 1_000_000)
    writer.send(f"{prefix}positions", b"spot", b"{", (), START_NS // 1_000_000)
    writer.flush()
    letter = outputs.until(lambda topic, message: message["topic"].endswith("ticks"))
    assert base64.b64decode(letter["value"]) == junk
    outputs.until(lambda topic, message: message["topic"].endswith("positions"))
    assert child.exit_code is None


def test_a_feed_under_another_name_is_one_alert_and_a_few_letters(
    start: Callable[[], ChildProcess], writer: KafkaWriter, read: Callable[..., Outputs], prefix: str
) -> None:
    """A minute of 1,200 ticks of EUR/USD, and one more: ten letters and a sum for the minute, a letter for the next."""
    child = start()
    outputs = read("dead-letters", "alerts")
    encoder = Encoder(prefix, "/test")
    for number in range(1201):
        at_ns = START_NS + number * 50_000_000
        encoder.send(writer, Tick(instrument="EUR/USD", event_time_ns=at_ns, bid=1.08, ask=1.0801))
    writer.flush()
    alert = outputs.until(lambda topic, message: topic == "alerts")
    assert (alert["kind"], alert["subject"]) == ("records-refused", f"{prefix}ticks/unknown-instrument")
    assert "'EUR/USD' (20); did you mean EURUSD" in alert["message"]

    outputs = read("dead-letters")
    letters = []
    while "records" not in (message := outputs.until(lambda topic, message: True)):
        letters.append(message["offset"])
    assert letters == list(range(10))
    assert (message["records"], message["first_offset"], message["last_offset"]) == (1190, 10, 1199)
    assert outputs.until(lambda topic, message: True)["offset"] == 1200
    assert child.exit_code is None


def test_records_of_which_a_whole_letter_cannot_be_sent_do_not_end_the_service(
    start: Callable[[], ChildProcess],
    writer: KafkaWriter,
    read: Callable[..., Outputs],
    prefix: str,
    kafka: str,
) -> None:
    """Names and headers of megabytes that compress well, from a producer with larger limits than ours."""
    child = start()
    outputs = read("dead-letters")
    position = {"asset": "EUR", "quantity": 9e6, "event_time_ns": START_NS}
    records: list[tuple[str, bytes, list[tuple[str, bytes]]]] = [
        ("positions", msgspec.json.encode({"book": "\x01" * 3_000_000} | position), []),
        ("positions", msgspec.json.encode({"book": "x" * 8_000_000} | position), []),
        ("ticks", b"{}", [("content-type", b"\x01" * 2_000_000)]),
    ]
    producer = KafkaProducer(bootstrap_servers=kafka, compression_type="lz4", max_request_size=2**26, acks="all")
    for topic, value, headers in records:
        producer.send(prefix + topic, value, b"spot", headers, timestamp_ms=START_NS // 1_000_000).get(30)
    producer.close()
    writer.send(f"{prefix}positions", b"spot", b"{", (), START_NS // 1_000_000)
    writer.flush()
    reasons: list[str] = []
    for _ in range(4):
        letter = outputs.until(lambda topic, message: True)
        reasons.append(letter["reason"])
    assert sorted(reasons) == ["content-type", "undecodable", "unknown-book", "unknown-book"]
    assert child.exit_code is None


def test_a_group_with_other_members_does_not_end_the_service(
    start: Callable[[], ChildProcess],
    writer: KafkaWriter,
    read: Callable[..., Outputs],
    prefix: str,
    settings: KafkaSettings,
) -> None:
    """Another consumer has subscribed with `kafka.group`: said once, with the way out, and answers go on.

    Once it has left, the offsets are stored.
    """
    other: Any = open_client(KafkaConsumer, settings, group_id=settings.group)
    other.subscribe([f"{prefix}ticks"])
    deadline = time.monotonic() + 60
    while not other.assignment():
        other.poll(timeout_ms=200)
        assert time.monotonic() < deadline
    child = start()
    outputs = read("dead-letters")
    writer.send(f"{prefix}positions", b"spot", b"{", (), START_NS // 1_000_000)
    writer.flush()
    outputs.until(lambda topic, message: message["topic"].endswith("positions"))

    def notices(name: str) -> list[str]:
        return [line for line in output_tail(child.output_file, 100).splitlines() if f" {name}" in line]

    deadline = time.monotonic() + 60
    while not notices("offsets-not-stored"):
        other.poll(timeout_ms=100)
        assert time.monotonic() < deadline
    writer.send(f"{prefix}ticks", b"EURUSD", b"{", (), START_NS // 1_000_000)
    writer.flush()
    outputs.until(lambda topic, message: message["topic"].endswith("ticks"))
    (line,) = notices("offsets-not-stored")
    assert f"group {settings.group} has members of another consumer; use another kafka.group" in line
    other.close()
    while not notices("offsets-stored"):
        assert child.exit_code is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    child.stop(timeout_s=15)
    with closing(KafkaReader(settings, [f"{prefix}positions", f"{prefix}ticks"])) as reader:
        assert reader.committed() == reader.end_offsets()


def test_the_broker_refuses_a_tick_that_is_dated_ahead(
    service_config: tuple[Path, Config], writer: KafkaWriter, prefix: str
) -> None:
    """One such tick would close every timestep before the other quotes of it came."""
    ahead_ms = time.time_ns() // 1_000_000 + 10 * 60 * 1000
    writer.send(f"{prefix}ticks", b"EURUSD", b"{}", (), ahead_ms)
    with pytest.raises(PublishFailed):
        writer.flush()


def test_the_bench(kafka: str, tmp_path: Path) -> None:
    """Every comparison of the stream is measured, with small numbers here, and lands in the file and the table."""
    output = tmp_path / "bench.json"
    command = [sys.executable, "-m", "stream.cli", "bench", "stream", "--bootstrap", kafka, "--output", str(output)]
    bench = ChildProcess([*command, "--ticks", "5000", "--positions", "20"], tmp_path / "bench.log")
    code = bench.wait(timeout_s=240)
    bench.stop(timeout_s=1)
    assert code == 0, output_tail(bench.output_file, 40)
    comparisons = json.loads(output.read_text())["comparisons"]
    assert len(comparisons) == 15
    for comparison in comparisons:
        assert comparison["ratio"] == pytest.approx(comparison["ours"] / comparison["reference"])
        assert f"| {comparison['what']} |" in output_tail(bench.output_file, 40)


def test_the_demo(kafka: str, tmp_path: Path) -> None:
    """The demo on a Kafka that is already there: suggestions, a summary, exit code 0, and no topic left behind."""
    picture = tmp_path / "demo.svg"
    command = [
        sys.executable,
        "-m",
        "stream.cli",
        "demo",
        "--bootstrap",
        kafka,
        "--seconds",
        "8",
        "--days-per-second",
        "10",
    ]
    demo = ChildProcess([*command, "--picture", str(picture)], tmp_path / "demo.log")
    code = demo.wait(timeout_s=240)
    demo.stop(timeout_s=1)
    text = output_tail(demo.output_file, 100)
    assert code == 0, text
    assert "hedge-suggestions" in text
    assert "to be deleted at the end" in text
    assert "<svg" in picture.read_text()
    admin = open_client(KafkaAdminClient, KafkaSettings(bootstrap=kafka))
    left = [topic for topic in admin.list_topics() if topic.startswith("betapack-demo-")]
    admin.close()
    assert left == []
