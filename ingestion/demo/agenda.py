"""The agenda of a simulated world: events happen in the order of time, whoever planned them.

An event is (time, sequence, name, arguments); state that is stored holds them as plain structures.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from .clock import DAY

Event = tuple[int, int, str, tuple[Any, ...]]


class World(Protocol):
    """What has an agenda."""

    agenda: list[Event]
    sequence: int


F = TypeVar("F", bound=Callable[..., Any])

# What happens at an event: a function of the world, the time and the event's arguments.
HANDLERS: dict[str, Callable[..., Any]] = {}


def on(name: str) -> Callable[[F], F]:
    """Decorator: this function is what happens at events of that name."""

    def register(handler: F) -> F:
        HANDLERS[name] = handler
        return handler

    return register


def schedule(world: World, t: int, name: str, *args: Any) -> None:
    """Put an event on the agenda."""
    world.sequence += 1
    heapq.heappush(world.agenda, (t, world.sequence, name, args))


def run_events(world: World, end: int) -> None:
    """Let everything happen that is on the agenda before `end`."""
    agenda = world.agenda
    while agenda and agenda[0][0] < end:
        t, _, name, args = heapq.heappop(agenda)
        HANDLERS[name](world, t, *args)


def draw_count(rng: random.Random, mean: float) -> int:
    """A random number of events, where `mean` are expected (Poisson; for many, its normal approximation)."""
    if mean > 40:
        return max(0, round(rng.gauss(mean, mean**0.5)))
    total, number = rng.expovariate(1), 0
    while total < mean:
        total += rng.expovariate(1)
        number += 1
    return number


def some_time(rng: random.Random, day: int, first: int = 0, last: int = 24) -> int:
    """A random second of a day, between two hours."""
    return day * DAY + rng.randrange(first * 3600, last * 3600)
