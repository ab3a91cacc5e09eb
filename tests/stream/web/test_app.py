"""The web process: answers over HTTP, who may ask, what is refused, and that it ends and comes back."""

from __future__ import annotations

import asyncio
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
from typing import Any

import msgspec
import numpy as np
import pytest

from schemas.answers import TOKEN_VARIABLE
from stream.config import Config, MetricsConfig, check_config
from stream.engine.step import Engine, EngineState
from stream.errors import ConfigError
from stream.events.types import PositionLevel, Timestep
from stream.telemetry.metrics import Metrics
from stream.web.access import listener
from stream.web.app import Busy, Turns
from stream.web.process import WebProcess
from stream.web.questions import HypotheticalTrade, Questions
from stream.web.request import Requests, UnknownBook, WrongRequest
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
    metrics.observe_late(2)
    with WebProcess(port_0, metrics.exposition) as web:
        yield web


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
    assert b"betapack_quotes_late_total 2.0" in body
    assert b'betapack_web_answers_total{path="/what-if",status="404"} 1.0' in body


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


def test_only_so_many_may_wait() -> None:
    """One is answered while three wait; the others of ten are turned away, and nobody once these are done."""

    async def crowd() -> list[bool]:
        turns = Turns(waiting_max=3)

        async def one() -> bool:
            try:
                async with turns.one():
                    return True
            except Busy:
                return False

        return [*await asyncio.gather(*(one() for _ in range(10))), *await asyncio.gather(*(one() for _ in range(4)))]

    assert asyncio.run(crowd()) == [True] * 4 + [False] * 6 + [True] * 4


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
        "with WebProcess(config, lambda: b'') as web:\n"
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


def test_a_token_is_asked_of_everyone(port_0: Config, state: EngineState, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one in the environment, answers and metrics alike are only for who brings it."""
    monkeypatch.setenv(TOKEN_VARIABLE, "s3cret")
    with WebProcess(port_0, lambda: b"figures") as web:
        for path in ("/metrics", "/what-if?book=spot", "/nothing"):
            for headers in ({}, {"Authorization": "Bearer other"}, {"Authorization": "s3cret"}):
                status, got, _ = ask(web.port, path, **headers)
                assert (status, got["www-authenticate"]) == (401, "Bearer")
        status, _, body = ask(web.port, "/metrics", Authorization="Bearer s3cret")
        assert status == 200
        assert body.startswith(b"figures")


def test_another_address_needs_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody shows a book to the network by a single key."""
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    for host in ("0.0.0.0", "::", "192.0.2.1", "desk.example"):
        with pytest.raises(ConfigError, match=rf"metrics\.host must be 127\.0\.0\.1.*{TOKEN_VARIABLE}"):
            listener(MetricsConfig(host=host, port=0))
    listener(MetricsConfig(host="localhost", port=0)).close()
    monkeypatch.setenv(TOKEN_VARIABLE, "s3cret")
    listener(MetricsConfig(host="0.0.0.0", port=0)).close()


def test_a_port_that_is_taken_is_named() -> None:
    """The message names both keys and what to do."""
    with closing(listener(MetricsConfig(port=0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"metrics\.port {port} on metrics\.host 127\.0\.0\.1 .* 0 for any free"):
            listener(MetricsConfig(port=port))


def test_allowed_hosts_are_names(desk: Config) -> None:
    """A port, a path or a wildcard in one is refused at start."""
    for name in ("desk:9464", "http://desk", "*", "*.example.com", ""):
        with pytest.raises(ConfigError, match=r"metrics\.allowed_hosts must be names or addresses without a port"):
            check_config(msgspec.structs.replace(desk, metrics=MetricsConfig(allowed_hosts=(name,))))
    check_config(msgspec.structs.replace(desk, metrics=MetricsConfig(allowed_hosts=("desk.example", "2001:db8::a"))))


@pytest.mark.parametrize(
    ("query", "key"),
    [
        ([], "book"),
        ([("book", "spot"), ("book", "spot")], "book"),
        ([("book", "spot"), ("EUR", "nan")], "EUR"),
        ([("book", "spot"), ("EUR", "inf")], "EUR"),
        ([("book", "spot"), ("EUR", "1e16")], "EUR"),
        ([("book", "spot"), ("EUR", "")], "EUR"),
        ([("book", "spot"), ("EUR", "1"), ("EUR", "2")], "EUR"),
        ([("book", "spot"), ("GBP", "1")], "parameter"),
        ([("book", "spot"), ("lots", "1")], "instrument"),
        ([("book", "spot"), ("instrument", "EURUSD")], "lots"),
        ([("book", "spot"), ("instrument", "EURUSD"), ("instrument", "USDJPY")], "lots"),
        ([("book", "spot"), ("instrument", "GBPUSD"), ("lots", "1")], "instrument"),
        ([("book", "spot"), ("instrument", "EURUSD"), ("lots", "1.5")], "lots"),
        ([("book", "spot"), ("instrument", "EURUSD"), ("lots", "9999999999")], "lots"),
        ([("book", "spot")] + 2 * [("instrument", "EURUSD"), ("lots", "1")], "instrument"),
    ],
)
def test_a_query_that_says_nothing_sure_is_refused(desk: Config, query: list[tuple[str, str]], key: str) -> None:
    """Each names its key; no parameter is skipped, none has a silent default."""
    with pytest.raises(WrongRequest) as refused:
        Requests(desk).what_if(query)
    assert refused.value.key == key


def test_a_query_is_read(desk: Config) -> None:
    """Units by asset, lots by instrument, several of each; the same trade has the same name in any order."""
    parts = [
        ("EUR", "5e6"),
        ("USD", "-1"),
        ("instrument", "EURUSD"),
        ("lots", "-3"),
        ("instrument", "EURCHF"),
        ("lots", "2"),
    ]
    book, trade = Requests(desk).what_if([("book", "spot"), *parts])
    assert book == "spot"
    assert (trade.units, trade.lots) == ({"EUR": 5e6, "USD": -1.0}, {"EURUSD": -3, "EURCHF": 2})
    _, again = Requests(desk).what_if([*parts[4:], *parts[2:4], *parts[1::-1], ("book", "spot")])
    assert str(again) == str(trade)
    with pytest.raises(UnknownBook):
        Requests(desk).what_if([("book", "Spot")])
