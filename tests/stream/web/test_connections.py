"""Hostile connections to the web process, over real sockets: it stays small, and scrapes are answered."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import msgspec
import pytest

from stream.config import Config, MetricsConfig
from stream.config.metrics import TOKEN_VARIABLE
from stream.web.connections import CONNECTIONS_MAX, REQUEST_TIMEOUT_S, UNANSWERED_BYTES_MAX
from stream.web.process import WebProcess

TOKEN = "0123456789abcdef"
MEGABYTE = 1 << 20
GROWTH_MAX = 30 * MEGABYTE
"""Some megabytes of noise, and far below what 64 MB of header lines take when they are kept: 740 MB."""

LATE_S = 5.0
"""How much later than its time a busy machine may close a connection."""

pytestmark = pytest.mark.slow


@pytest.fixture
def web(desk: Config, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebProcess]:
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    config = msgspec.structs.replace(desk, metrics=MetricsConfig(port=0))
    with WebProcess(config, lambda: b"figures\n") as web:
        while scrape(web.port) != 200:
            time.sleep(0.1)
        yield web


def scrape(port: int) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        try:
            connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
            return connection.getresponse().status
        except ConnectionError:
            return 0


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=REQUEST_TIMEOUT_S + LATE_S)


def received(connection: socket.socket) -> bytes:
    """Everything until the other side closes; TimeoutError where it does not."""
    got = b""
    with suppress(ConnectionError):
        while chunk := connection.recv(65536):
            got += chunk
    return got


def send_until_closed(connection: socket.socket, first: bytes, again: bytes, size: int) -> int:
    """How much of `size` could be sent: `first`, then `again` and again."""
    sent = 0
    with suppress(ConnectionError):
        connection.sendall(first)
        while sent < size:
            connection.sendall(again)
            sent += len(again)
    return sent


class Memory:
    """The most memory that a process held since this was made, beyond what it held then."""

    def __init__(self, pid: int | None) -> None:
        self._folder = Path(f"/proc/{pid}")
        (self._folder / "clear_refs").write_text("5")  # the peak becomes what it holds now
        self._before = self._bytes("VmRSS")

    @property
    def growth(self) -> int:
        return self._bytes("VmHWM") - self._before

    def _bytes(self, name: str) -> int:
        (line,) = (line for line in (self._folder / "status").read_text().splitlines() if line.startswith(name))
        return int(line.split()[1]) * 1024


@pytest.mark.parametrize(
    ("first", "again"),
    [
        pytest.param(b"GET /metrics HTTP/1.1\r\n", b"X-Line: 1\r\n" * 5000, id="header lines"),
        pytest.param(b"GET /metrics HTTP/1.1\r\nX-Line: ", b"x" * 65536, id="one header line"),
        pytest.param(b"GET /metrics HTTP/1.1\r\n", b"X" * 65536, id="one header name"),
        pytest.param(b"GET /", b"x" * 65536, id="target"),
        pytest.param(b"", b"\r\n" * 32768, id="blank lines"),
        pytest.param(b"POST /metrics HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", b"x" * 65536, id="body"),
        pytest.param(
            b"POST /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 10000, id="chunked body"
        ),
        pytest.param(b"", b"GET / HTTP/1.1\r\n\r\n" * 3000, id="pipelined requests"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 256, id="pipelined garbage"),
    ],
)
def test_what_comes_without_end_is_cut(web: WebProcess, first: bytes, again: bytes) -> None:
    """64 MB on each of four connections: refused within the first megabytes, with a few of memory; scrapes go on."""
    memory = Memory(web.pid)
    for _ in range(4):
        with closing(connect(web.port)) as connection:
            # What the kernels of both sides keep for the connection is sent too, though nobody reads it.
            assert send_until_closed(connection, first, again, 64 * MEGABYTE) < 16 * MEGABYTE
        assert scrape(web.port) == 200
    assert memory.growth < GROWTH_MAX


def test_a_header_at_the_bound_is_read_and_one_beyond_it_refused(web: WebProcess) -> None:
    """The answer to the second says 431, so that who sends it by mistake knows why."""
    for size, status in ((UNANSWERED_BYTES_MAX - 200, b"200"), (UNANSWERED_BYTES_MAX, b"431")):
        with closing(connect(web.port)) as connection:
            request = (
                f"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n"
            )
            connection.sendall(f"{request}X-Long: {'x' * size}\r\n\r\n".encode())
            assert received(connection).startswith(b"HTTP/1.1 " + status)


def test_a_slow_request_is_cut(web: WebProcess) -> None:
    """A byte a second does not keep a connection open, neither before the first request nor after an answer."""
    with closing(connect(web.port)) as drip, closing(connect(web.port)) as again:
        again.sendall(f"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode())
        assert again.recv(65536).startswith(b"HTTP/1.1 200")
        since_s = time.monotonic()
        open_ = {drip, again}
        for sent in b"GET /metrics HTTP/1.1\r\nX-Unfinished: " + b"x" * 1000:
            if not open_:
                break
            assert time.monotonic() - since_s < REQUEST_TIMEOUT_S + LATE_S
            time.sleep(0.5)
            for connection in open_.copy():
                try:
                    connection.sendall(bytes([sent]))
                    connection.settimeout(0.01)
                    if not connection.recv(65536):
                        open_.discard(connection)
                except TimeoutError:
                    continue
                except ConnectionError:
                    open_.discard(connection)
    assert scrape(web.port) == 200


def test_idle_connections_make_room(web: WebProcess) -> None:
    """More connections than there is room for, all idle: every scrape among them is answered with 200.

    The one that was answered before stays open longest, so a scraper keeps its connection.
    """
    with ExitStack() as opened, closing(http.client.HTTPConnection("127.0.0.1", web.port, timeout=30)) as scraper:
        for turn in range(CONNECTIONS_MAX + 50):
            idle = opened.enter_context(closing(connect(web.port)))
            if turn % 3 == 0:
                idle.sendall(b"GET /metrics HTTP/1.1\r\nX-Unfinished: ")
            if turn % 50 == 0:
                scraper.request("GET", "/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
                reply = scraper.getresponse()
                assert (reply.status, reply.read().startswith(b"figures")) == (200, True)
        assert scrape(web.port) == 200


def test_a_refused_token_ends_the_connection(web: WebProcess) -> None:
    """Otherwise who has no token could keep as many connections as those who have one."""
    with closing(connect(web.port)) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 401")
    assert b"connection: close" in answer.lower()
