"""Commands of the documents that need Apache Kafka or a running service are run as they stand there."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from documents import ROOT, arguments_of, commands_to
from schemas.topics import TOPICS
from stream.config import load_config
from stream.config.kafka import KafkaSettings
from stream.kafka.local.child_process import ChildProcess, output_tail
from stream.kafka.topics import delete_topics

pytestmark = pytest.mark.kafka

CLI = [sys.executable, "-m", "stream.cli"]
READY_TIMEOUT_S = 90.0
#: The address that the documents name: where a service listens unless it is configured otherwise.
ADDRESS = "http://127.0.0.1:9464"
ASKING = [command for command in commands_to("service") if command.split()[1] in ("what-if", "frontier")]
FETCHING = [command for command in commands_to("service") if command.startswith("curl ")]
SERVING = [command for command in commands_to("service") if command.startswith("betapack serve ")]
CREATING = [command for command in commands_to("service") if command.startswith("betapack topics ")]
CONFIRMING = [command for command in commands_to("service") if command.startswith("betapack confirm ")]


def test_nothing_is_left_out() -> None:
    """Each command that is to be run on a service belongs to one of the tests below."""
    assert sorted(ASKING + FETCHING + SERVING + CREATING + CONFIRMING) == sorted(commands_to("service"))


def answered(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=10) as reply:
            return bool(reply.status == 200)
    except urllib.error.URLError:  # also 503, while there is no model yet
        return False


@pytest.fixture(scope="module")
def demo(kafka: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the demo's service answers, while it runs."""
    output = tmp_path_factory.mktemp("demo") / "demo.log"
    child = ChildProcess([*CLI, "demo", "--bootstrap", kafka], output)
    deadline = time.monotonic() + READY_TIMEOUT_S
    address = None
    while address is None or not answered(f"{address}/what-if?book=franc"):
        assert child.exit_code is None, output_tail(output, 40)
        assert time.monotonic() < deadline, output_tail(output, 40)
        time.sleep(0.1)
        found = re.search(r"metrics: (http://\S+)", output.read_text(encoding="utf-8"))
        address = found[1] if found else None
    yield address
    child.stop(timeout_s=20)


@pytest.mark.parametrize("command", ASKING)
def test_questions_to_the_demo(command: str, demo: str, tmp_path: Path) -> None:
    """A question of the documents is answered while the demo runs, and a page that it names is written."""
    ended = subprocess.run(
        [*CLI, *arguments_of(command), "--url", demo],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    over_limit = 1
    assert ended.returncode in ((0, over_limit) if "what-if" in command else (0,)), ended.stderr
    assert "franc" in ended.stdout
    if "--output" in command:
        (page,) = tmp_path.iterdir()
        assert page.name == shlex.split(command)[-1]
        assert "<svg" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("command", FETCHING)
def test_requests_to_the_demo(command: str, demo: str) -> None:
    """An address of the documents answers: the metrics of the operations page and no other, or JSON of the book."""
    (address,) = arguments_of(command)
    assert address.startswith(ADDRESS)
    with urllib.request.urlopen(address.replace(ADDRESS, demo), timeout=20) as reply:
        body = reply.read().decode()
    if address.endswith("/metrics"):
        emitted = {name for name in re.findall(r"^# TYPE (\w+)", body, re.MULTILINE) if not name.endswith("_created")}
        page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
        assert set(re.findall(r"`(betapack_[a-z_]+)", page)) == emitted
    else:
        assert json.loads(body)["book"] == "franc"


def test_a_service_is_set_up_and_run(kafka: str, settings: KafkaSettings, prefix: str, tmp_path: Path) -> None:
    """With the shipped desk.toml: topics are made, a book confirmed, the service runs until SIGTERM and ends with 0."""
    text = (ROOT / "deploy" / "desk.toml").read_text(encoding="utf-8")
    config = tmp_path / "desk.toml"
    config.write_text(f'{text.replace("port = 9464", "port = 0")}\n[topics]\nprefix = "{prefix}"\n')
    assert load_config(config).metrics.port == 0
    try:
        for command in CREATING:
            created = subprocess.run(
                [*CLI, *arguments_of(command), "--bootstrap", kafka],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert created.returncode == 0, created.stderr
            assert all(f"{prefix}{topic.name}" in created.stdout for topic in TOPICS)
        for command in CONFIRMING:
            confirmed = subprocess.run(
                [*CLI, *arguments_of(command), "--bootstrap", kafka],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert confirmed.returncode == 0, confirmed.stderr
            assert "stated that spot-london is complete" in confirmed.stderr
        for command in SERVING:
            words = {"desk.toml": str(config), "kafka-1:9092": kafka}
            child = ChildProcess(
                [*CLI, *(words.get(word, word) for word in arguments_of(command))], tmp_path / "service.log"
            )
            deadline = time.monotonic() + READY_TIMEOUT_S
            while " running" not in output_tail(child.output_file):
                assert child.exit_code is None, output_tail(child.output_file)
                assert time.monotonic() < deadline, output_tail(child.output_file)
                time.sleep(0.05)
            child.stop(timeout_s=20)
            assert child.exit_code == 0, output_tail(child.output_file)
    finally:
        delete_topics(settings, [prefix + topic.name for topic in TOPICS])
