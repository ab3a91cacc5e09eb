"""The web process: it answers over HTTP to who may ask, and it ends and comes back."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from multiprocessing.context import SpawnProcess
from typing import Any

import msgspec
import numpy as np
import pytest

from stream.config import Config, MetricsConfig
from stream.config.metrics import TOKEN_VARIABLE
from stream.engine.step import Engine, EngineState
from stream.events.types import PositionLevel, Timestep
from stream.telemetry.metrics import Metrics
from stream.web.access import listener
from stream.web.process import WebProcess
from stream.web.questions import HypotheticalTrade, Questions
from stream.web.views import View, ViewEncoder

SECOND = 1_000_000_000
WAIT_S = 60.0
Reply = tuple[int, dict[str, str], bytes]


def ask(port: int, path: str, method: str = "GET", **headers: str) -> Reply:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request(method, path, headers=headers)
        reply = connection.getresponse()
        return reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read()


def until(wanted: Callable[[], Any]) -> Any:
    """What `wanted` gives once it gives something."""
    give_up_s = time.monotonic() + WAIT_S
    while not (found := wanted()):
        assert time.monotonic() < give_up_s
        time.sleep(0.05)
    return found


@pytest.fixture
def port_0(desk: Config) -> Config:
    return msgspec.structs.replace(desk, metrics=MetricsConfig(port=0))


@pytest.fixture
def state(port_0: Config, timestep_of: Callable[..., Timestep], mid_prices: Callable[[int, int], Any]) -> EngineState:
    """Of an engine that has seen enough, with a position in the book "spot"."""
    engine = Engine(port_0)
    state = engine.new_state()
    for step, mids in enumerate(mid_prices(80, 3), start=1):
        state, _ = engine.step(state, timestep_of(step, mids))
    state, _ = engine.step(state, PositionLevel(80 * SECOND + 1, "spot", 0, 9e6, "positions[0]@1"))
    return state


@pytest.fixture
def web(port_0: Config) -> Iterator[WebProcess]:
    metrics = Metrics()
    metrics.observe_late("lp", 2)
    with WebProcess(port_0, metrics.exposition) as web:
        yield web


@pytest.mark.slow
def test_a_question_is_answered_as_in_the_process_itself(web: WebProcess, port_0: Config, state: EngineState) -> None:
    """Over HTTP comes what `Questions` says here; before anything is shown, 503 with the reason. Then what is refused.

    Wrong requests name key, expected and got; other methods, paths and `Host` headers get nothing; no answer may be
    read by another site's page, or kept.
    """
    status, _, body = ask(web.port, "/what-if?book=spot&EUR=5e6")
    assert (status, json.loads(body)["error"]) == (503, "no-answer")
    assert "no timestep has closed" in json.loads(body)["message"]
    web.show(state)
    query = "/what-if?book=spot&CHF=-2e6&instrument=EURUSD&lots=-3"
    until(lambda: ask(web.port, query)[0] == 200)
    _, headers, body = ask(web.port, query)
    view, update = View(port_0), ViewEncoder(port_0).update(state)
    assert update is not None
    view.take(update)
    expected = Questions(port_0, view).what_if("spot", HypotheticalTrade({"CHF": -2e6}, {"EURUSD": -3}))
    assert body == msgspec.json.encode(expected)
    assert headers["content-type"] == "application/json"
    assert headers["cache-control"] == "no-store"
    assert not [name for name in headers if name.startswith("access-control")]

    for path, status, error in (
        ("/what-if?book=nobody", 404, "unknown-book"),
        ("/what-if?book=spot&EUR=many", 400, "wrong-request"),
        ("/nothing", 404, "not-found"),
    ):
        got, _, body = ask(web.port, path)
        assert (got, json.loads(body)["error"]) == (status, error)
    _, _, body = ask(web.port, "/what-if?book=spot&EUR=many")
    refusal = json.loads(body)
    assert (refusal["key"], refusal["got"]) == ("EUR", "'many'")
    assert "number of units" in refusal["expected"]
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert ask(web.port, query, method)[0] == 405
    assert ask(web.port, query, Host="evil.example")[0] == 400
    assert ask(web.port, query, Host=f"localhost:{web.port}")[0] == 200

    status, headers, body = ask(web.port, "/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    assert b'betapack_quotes_late_total{source="lp"} 2.0' in body
    assert b'betapack_web_answers_total{path="/what-if",status="404"} 1.0' in body


@pytest.mark.slow
def test_a_crowd_is_answered_or_told_to_come_back(web: WebProcess, state: EngineState) -> None:
    """Two hundred ask at once: each is answered or told to come back, and afterwards everything is as before."""
    web.show(state)
    until(lambda: ask(web.port, "/what-if?book=spot")[0] == 200)
    replies: list[Reply] = []
    start = threading.Barrier(200)

    def many(turn: int) -> None:
        start.wait()
        replies.extend(ask(web.port, f"/what-if?book=spot&EUR={turn}e3") for _ in range(3))

    askers = [threading.Thread(target=many, args=(turn,)) for turn in range(200)]
    for asker in askers:
        asker.start()
    assert ask(web.port, "/metrics")[0] in (200, 503)
    for asker in askers:
        asker.join()
    assert len(replies) == 600
    assert {status for status, _, _ in replies} <= {200, 503}
    assert all(headers["retry-after"] == "1" for status, headers, body in replies if b'"busy"' in body)
    assert ask(web.port, "/what-if?book=spot")[0] == 200
    assert ask(web.port, "/metrics")[0] == 200


@pytest.mark.slow
def test_a_child_that_dies_is_replaced(web: WebProcess, state: EngineState) -> None:
    """On the same port, and told everything again although nothing has changed since."""
    web.show(state)
    until(lambda: ask(web.port, "/what-if?book=spot")[0] == 200)
    before, port = web.pid, web.port
    assert before is not None
    os.kill(before, signal.SIGKILL)
    until(lambda: web.pid != before)

    def answered() -> bool:
        web.show(state)
        return ask(port, "/what-if?book=spot")[0] == 200

    until(answered)


@pytest.mark.slow
def test_metrics_that_fail_end_nothing(port_0: Config, caplog: pytest.LogCaptureFixture) -> None:
    """Scrapes get 503 meanwhile, one notice says why, and the next text that can be had is shown."""
    texts = iter([ZeroDivisionError("a bug"), ZeroDivisionError("a bug"), b"figures"])

    def exposition() -> bytes:
        text = next(texts, b"figures")
        if isinstance(text, Exception):
            raise text
        return text

    with WebProcess(port_0, exposition) as web:
        until(lambda: ask(web.port, "/metrics")[0] == 200)
    (line,) = (line for line in caplog.messages if line.startswith("metrics-failed"))
    assert "ZeroDivisionError: a bug" in line


@pytest.mark.slow
def test_a_child_that_cannot_be_started_is_tried_again(
    web: WebProcess, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A machine without room for another process leaves the service alone."""
    until(lambda: ask(web.port, "/metrics")[0] == 200)
    refusals = iter([BlockingIOError("Resource temporarily unavailable")] * 2)
    start = SpawnProcess.start

    def start_sometimes(process: SpawnProcess) -> None:
        for refusal in refusals:
            raise refusal
        start(process)

    monkeypatch.setattr(SpawnProcess, "start", start_sometimes)
    before = web.pid
    assert before is not None
    os.kill(before, signal.SIGKILL)
    until(lambda: web.pid != before)
    until(lambda: ask(web.port, "/metrics")[0] == 200)
    assert len([line for line in caplog.messages if line.startswith("web-not-started")]) == 2


@pytest.mark.slow
def test_showing_does_not_wait_for_a_child_that_has_stopped(web: WebProcess, state: EngineState) -> None:
    """Ten thousand changes while it is stopped are handed over at once, and afterwards it knows the last."""
    web.show(state)
    until(lambda: ask(web.port, "/what-if?book=spot")[0] == 200)
    assert web.pid is not None
    os.kill(web.pid, signal.SIGSTOP)
    try:
        for turn in range(10_000):
            state.books["spot"].quantities[0] = float(turn)
            web.note(PositionLevel(81 * SECOND, "spot", 0, float(turn), ""))
            web.show(state)
    finally:
        os.kill(web.pid, signal.SIGCONT)
    assert state.latest is not None
    exposure = 9_999.0 * state.latest.valuation.prices[0]

    def is_last() -> bool:
        positions = json.loads(ask(web.port, "/what-if?book=spot")[2])["residual"]["positions"]
        return bool(np.isclose(positions[0]["exposure"], exposure, rtol=1e-12))

    until(is_last)


@pytest.mark.slow
def test_it_ends_with_the_service_however_that_ends() -> None:
    """After kill -9 of its parent the child is gone and the port is free."""
    code = (
        "import sys, time, msgspec\n"
        "from stream.config import Config, load_config\n"
        "from stream.web.process import WebProcess\n"
        "from pathlib import Path\n"
        "import stream.demo\n"
        "config = load_config(Path(stream.demo.__file__).parent / 'demo.toml')\n"
        "config = msgspec.structs.replace(config, metrics=msgspec.structs.replace(config.metrics, port=0))\n"
        "with WebProcess(config, lambda: b'figures') as web:\n"
        "    print(web.port, web.pid, flush=True)\n"
        "    time.sleep(100)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        port, pid = map(int, parent.stdout.readline().split())
        until(lambda: ask(port, "/metrics")[0] == 200)
        parent.kill()

    def is_gone() -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        return False

    until(is_gone)
    listener(MetricsConfig(port=port)).close()


@pytest.mark.slow
def test_a_token_is_asked_of_everyone(port_0: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one in the environment, answers and metrics alike are only for who brings it."""
    monkeypatch.setenv(TOKEN_VARIABLE, "s3cret-of-the-desk")
    with WebProcess(port_0, lambda: b"figures") as web:
        for path in ("/metrics", "/what-if?book=spot", "/nothing"):
            for headers in ({}, {"Authorization": "Bearer other"}, {"Authorization": "s3cret-of-the-desk"}):
                status, got, _ = ask(web.port, path, **headers)
                assert (status, got["www-authenticate"]) == (401, "Bearer")
        status, _, body = ask(web.port, "/metrics", Authorization="Bearer s3cret-of-the-desk")
        assert status == 200
        assert body.startswith(b"figures")
