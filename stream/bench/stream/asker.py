"""Asks a service what-ifs at a steady rate until SIGTERM, then prints the counts. Runs as a process of its own.

The counts start again at each SIGUSR1.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time

import msgspec
import numpy as np
import uvloop
from msgspec import Struct

CONNECTIONS = 8


class Asked(Struct):
    """How many questions were answered and turned away in `seconds`, and the percentiles of the time to an answer."""

    answered: int
    turned_away: int
    seconds: float
    p50_ms: float
    p99_ms: float


async def ask(port: int, book: str, rate: float) -> Asked:
    """Ask `rate` questions a second, each about another trade. A late answer delays later questions."""
    stopped = asyncio.Event()
    took_ms: list[float] = []
    turned_away = turn = 0
    begun_s = time.perf_counter()

    def begin() -> None:
        nonlocal turned_away, turn, begun_s
        took_ms.clear()
        turned_away = turn = 0
        begun_s = time.perf_counter()

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, begin)

    async def one_connection() -> None:
        nonlocal turn, turned_away
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while not stopped.is_set():
            turn += 1
            wait_s = begun_s + turn / rate - time.perf_counter()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            sent_s = time.perf_counter()
            thousands = 2000 + turn % 997
            query = f"book={book}&EUR={thousands}e3&GBP=-{thousands}e3&CHF={2 * thousands}e3"
            writer.write(f"GET /what-if?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            if head.startswith(b"HTTP/1.1 200"):
                took_ms.append((time.perf_counter() - sent_s) * 1e3)
            else:
                turned_away += 1
        writer.close()

    await asyncio.gather(*(one_connection() for _ in range(CONNECTIONS)))
    p50, p99 = np.percentile(took_ms or [np.inf], [50, 99]).tolist()
    return Asked(len(took_ms), turned_away, time.perf_counter() - begun_s, p50, p99)


if __name__ == "__main__":
    asked = uvloop.run(ask(int(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
    print(msgspec.json.encode(asked).decode(), flush=True)
