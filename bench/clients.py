"""Clients that ask: over HTTP by kept connections of one thread, and by database connections of a thread each.

Both take whole answers: over HTTP all bytes, from a database all rows as its driver gives them.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

# Gives what a client asks next: over HTTP an address, of a database a statement.
Asking = Iterator[str]


@dataclass
class Answered:
    """What clients got. `ways`: seconds of each answer; `seconds`: of all together."""

    ways: list[float] = field(default_factory=list)
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    @property
    def each(self) -> float:
        """Seconds for an answer, of all clients together. Raises RuntimeError where something went wrong."""
        if self.wrong or not self.ways:
            raise RuntimeError(f"{len(self.wrong)} of {len(self.ways)} answers were refused: {self.wrong[:1]}")
        return self.seconds / len(self.ways)


class Connection:
    """A kept HTTP connection to a server of this machine."""

    def __init__(self, port: int, key: str):
        self.port = port
        self._head = f" HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n\r\n".encode()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str) -> tuple[int, bytes]:
        """The status and the body of what is at an address."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self._streams
        writer.write(b"GET " + path.encode() + self._head)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        # What is not sent in chunks says how long it is; chunks end with an empty one.
        if b"content-length: " in head:
            body = await reader.readexactly(int(head.split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0]))
        else:
            parts = []
            while size := int(await reader.readline(), 16):
                parts.append((await reader.readexactly(size + 2))[:-2])
            await reader.readline()
            body = b"".join(parts)
        return int(head[9:12]), body

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()


def over_http(port: int, key: str, asking: Asking, clients: int, seconds: float, most: int = 0) -> Answered:
    """Have clients ask for some seconds, or one until it has so many answers."""
    found = Answered()

    async def ask(until: float) -> None:
        with closing(Connection(port, key)) as connection:
            while time.perf_counter() < until and not (most and len(found.ways) >= most):
                began = time.perf_counter()
                status, body = await connection.get(next(asking))
                found.ways.append(time.perf_counter() - began)
                if status != 200:
                    found.wrong.append(f"{status} {body[:200]!r}")

    async def all_of_them() -> None:
        began = time.perf_counter()
        await asyncio.gather(*(ask(began + seconds) for _ in range(clients)))
        found.seconds = time.perf_counter() - began

    asyncio.run(all_of_them())
    return found


def by_connections(opened: Callable[[], Any], asking: Asking, clients: int, seconds: float, most: int = 0) -> Answered:
    """Have clients ask a database, each by a connection of its own, for some seconds or until there are so many."""
    found, lock = Answered(), threading.Lock()
    began = 0.0
    ready = threading.Barrier(clients + 1)

    def ask() -> None:
        with closing(opened()) as connection, closing(connection.cursor()) as cursor:
            ready.wait()
            while time.perf_counter() < began + seconds and not (most and len(found.ways) >= most):
                with lock:
                    statement = next(asking)
                started = time.perf_counter()
                cursor.execute(statement)
                cursor.fetchall()
                found.ways.append(time.perf_counter() - started)

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(clients)]
    for each in threads:
        each.start()
    began = time.perf_counter()
    ready.wait()
    for each in threads:
        each.join()
    found.seconds = time.perf_counter() - began
    return found


@dataclass
class Paged:
    """What clients that page found. `rows`: that a paging has, by generation; `wrong`: what no client should see."""

    requests: int = 0
    pagings: int = 0
    rows: dict[int, set[int]] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def paging(port: int, key: str, path: str, column: str, clients: int, is_over: threading.Event) -> Paged:
    """Have clients page by rows in the order of a column until all is over, and look at what they get."""
    found = Paged()

    async def page(connection: Connection) -> None:
        following: str | None = path
        generations, values = set(), list[Any]()
        while following:
            status, body = await connection.get(following)
            found.requests += 1
            if status != 200:
                found.wrong.append(f"{status} {body[:200]!r}")
                return
            answer = json.loads(body)
            generations.add(answer["generation"])
            values += [row[column] for row in answer["rows"]]
            following = answer["next"]
        found.pagings += 1
        if len(generations) != 1 or any(one >= two for one, two in itertools.pairwise(values)):
            found.wrong.append(f"a paging of generations {generations}, {len(values)} rows")
        for each in generations:
            found.rows.setdefault(each, set()).add(len(values))

    async def keep_paging() -> None:
        with closing(Connection(port, key)) as connection:
            while not is_over.is_set():
                await page(connection)

    async def all_of_them() -> None:
        await asyncio.gather(*(keep_paging() for _ in range(clients)))

    asyncio.run(all_of_them())
    return found
