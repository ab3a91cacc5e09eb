"""The process that answers over HTTP, fed by the service with what changed.

A thousand questions a second in the service's own process would take its interpreter lock from the stream. So a child
answers them at the lowest priority. The service only encodes what changed, some 3 µs a book, after its outputs are in
Kafka. Updates that the child has not taken yet are merged into one: the service never waits, and nothing grows.

The metrics stay in the service. The child asks for their text when Prometheus asks the child.

The child is spawned, not forked: a fork would copy Kafka's sockets, and the locks of its threads in the state in which
they happen to be. The child ends when its pipe is closed. The kernel closes the pipe however the service ends.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection

import msgspec
import uvicorn

from solver.warm import warm_kernels
from stream.clock import SystemClock
from stream.config import Config
from stream.engine.step import EngineState
from stream.events.types import EngineEvent
from stream.telemetry.notices import notice
from stream.web.access import listener, token
from stream.web.app import application
from stream.web.connections import LIMIT_CONCURRENCY, BoundedConnection
from stream.web.views import View, ViewEncoder, ViewUpdate

NICENESS = 19
"""The stream goes first where both want the same core."""

SCRAPE_TIMEOUT_S = 5.0
RESTART_AFTER_S = 1.0
STOP_TIMEOUT_S = 3.0


class WebProcess:
    """Listens on `config.metrics`' address in a child process, which is replaced when it dies.

    `exposition` gives the service's metrics as text, from a thread of its own. Use it as a context manager.

    Raises
    ------
    ConfigError : the address cannot be listened on, or needs a token.
    """

    def __init__(self, config: Config, exposition: Callable[[], bytes]) -> None:
        self._config = config
        self._exposition = exposition
        self._encoder = ViewEncoder(config)
        self._listener = listener(config.metrics)
        self._pending: ViewUpdate | None = None
        self._pending_lock = threading.Lock()
        self._is_pending = threading.Event()
        self._child_is_new = False
        self._metrics_failed = False
        self._closed = threading.Event()
        self._lifecycle = threading.Lock()
        self._start()
        self._threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for target, name in ((self._feed, "web-feed"), (self._watch, "web-watch"))
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> WebProcess:
        return self

    def __exit__(self, *raised: object) -> None:
        with self._lifecycle:
            self._closed.set()
        self._is_pending.set()
        # The child ends when its pipe is closed; the thread that watches the child then ends too.
        self._process.join(STOP_TIMEOUT_S)
        self._process.kill()
        for thread in self._threads:
            thread.join()
        self._process.join()
        self._listener.close()

    @property
    def port(self) -> int:
        """The port on which the child answers."""
        number: int = self._listener.getsockname()[1]
        return number

    @property
    def pid(self) -> int | None:
        """The process id of the child."""
        return self._process.pid

    def note(self, event: EngineEvent) -> None:
        """Note that `event` went through the engine."""
        self._encoder.note(event)

    def show(self, state: EngineState) -> None:
        """Send what changed since the last call. Never waits for the child."""
        if self._child_is_new:
            self._child_is_new = False
            self._encoder.forget()
        update = self._encoder.update(state)
        if update is None:
            return
        with self._pending_lock:
            self._pending = update if self._pending is None else self._pending.merged(update)
        self._is_pending.set()

    def _feed(self) -> None:
        while not self._closed.is_set():
            self._is_pending.wait()
            self._is_pending.clear()
            with self._pending_lock:
                update, self._pending = self._pending, None
            if update is not None:
                # If the child has died the update is lost; the next child gets the whole state.
                with suppress(OSError):
                    self._updates.send_bytes(msgspec.msgpack.encode(update))
        self._updates.close()

    def _watch(self) -> None:
        """Answer the child's scrapes, and replace it when it ends."""
        while True:
            with suppress(EOFError, OSError):
                while True:
                    self._scrapes.recv_bytes()
                    self._scrapes.send_bytes(self._metrics())
            if self._closed.is_set():
                return
            self._process.join()
            notice("web-ended", logging.ERROR, exit_code=self._process.exitcode, restarting_in_s=RESTART_AFTER_S)
            while not self._restart():
                pass

    def _metrics(self) -> bytes:
        """The metrics as text; nothing where they cannot be had, so that this thread and the service go on."""
        try:
            text = self._exposition()
        except Exception as exc:
            if not self._metrics_failed:
                notice("metrics-failed", logging.ERROR, because=f"{type(exc).__name__}: {exc}")
            self._metrics_failed = True
            return b""
        self._metrics_failed = False
        return text

    def _restart(self) -> bool:
        """Start a child after a while. False where the machine has no room for one: then that is tried again."""
        self._closed.wait(RESTART_AFTER_S)
        with self._lifecycle:
            if self._closed.is_set():
                return True
            try:
                self._start()
            except OSError as exc:
                notice("web-not-started", logging.ERROR, because=str(exc), restarting_in_s=RESTART_AFTER_S)
                return False
        return True

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        their_updates, updates = context.Pipe(duplex=False)
        scrapes, their_scrapes = context.Pipe()
        arguments = (self._config, self._listener, their_updates, their_scrapes)
        process = context.Process(target=_serve, args=arguments, name="web", daemon=True)
        try:
            process.start()
        except OSError:
            updates.close()
            scrapes.close()
            raise
        finally:
            # Otherwise the connections would stay open when the child ends.
            their_updates.close()
            their_scrapes.close()
        self._process, self._updates, self._scrapes = process, updates, scrapes
        self._child_is_new = True


def _serve(config: Config, listening: socket.socket, updates: Connection, scrapes: Connection) -> None:
    """Run the child: answer until the service closes its end of `updates`."""
    # A terminal's Ctrl-C and a supervisor's SIGTERM go to the whole process group. The service ends the child itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.nice(NICENESS)
    view = View(config)
    app = application(config, view, lambda: _scrape(scrapes), SystemClock(), token())
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http=BoundedConnection,
            ws="none",
            lifespan="off",
            # Its warnings are of single requests: whoever sends garbage would fill stderr with lines.
            log_level=logging.ERROR,
            access_log=False,
            server_header=False,
            limit_concurrency=LIMIT_CONCURRENCY,
            proxy_headers=False,
            headers=[("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store")],
        )
    )
    # In a thread of its own, where uvicorn leaves signals alone. This thread takes updates until the service ends.
    answering = threading.Thread(target=server.run, args=([listening],), daemon=True)
    answering.start()
    is_warm = False
    with suppress(EOFError, OSError):
        while answering.is_alive():
            view.take(_decoder.decode(updates.recv_bytes()))
            if not is_warm:
                # Not earlier: the service compiles the kernels at its start, and leaves them in the cache.
                warm_kernels(config.solver.minimised)
                # Objects of the imports never become garbage; looking through them takes a tenth of a second.
                gc.freeze()
                is_warm = True
    # At once, even with open connections: the next service may be about to listen on the same port.
    os._exit(0)


def _scrape(scrapes: Connection) -> bytes | None:
    """The service's metrics; None when it does not answer."""
    try:
        while scrapes.poll():
            scrapes.recv_bytes()  # a late answer to a request that was given up
        scrapes.send_bytes(b"?")
        return (scrapes.recv_bytes() or None) if scrapes.poll(SCRAPE_TIMEOUT_S) else None
    except (EOFError, OSError):
        return None


_decoder = msgspec.msgpack.Decoder(ViewUpdate)
