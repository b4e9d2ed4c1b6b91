"""Made-up reporting of a laboratory, with what should come of it, told by the very loop that makes it up.

An order's analytes are told by several messages: pending, preliminary, final, corrected, told again as they are, taken
back. What holds from when on is written down as it is drawn, by no rule of the warehouse's.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from tests.healthcare.lab.messages import header, message, order, patient, result

_ANALYTES = ("718-7", "4544-3", "777-3", "2345-7", "2951-2", "2823-3")
_START = datetime(2024, 3, 1)  # noqa: DTZ001 (times of messages are written with an offset of their own)


@dataclass
class Truth:
    """What holds: of each order and analyte the versions as (from, status, value), and the corrections of finals."""

    versions: dict[tuple[str, str], list[tuple[datetime, str, Decimal | None]]] = field(default_factory=dict)
    corrections: dict[tuple[str, str], int] = field(default_factory=dict)


def reporting(seed: int, messages: int) -> tuple[list[str], Truth]:
    """Messages in the order in which they are sent, and what should come of them."""
    chance, truth, sent = random.Random(seed), Truth(), list[str]()
    open_orders: list[dict[str, tuple[str, Decimal | None, bool]]] = []
    names: list[str] = []
    moment = _START
    while len(sent) < messages:
        moment += timedelta(seconds=chance.randint(1, 900))
        if not names or (chance.random() < 0.4 and len(names) < messages):
            names.append(f"F{len(names) + 1}")
            codes = chance.sample(_ANALYTES, chance.randint(1, 5))
            open_orders.append(dict.fromkeys(codes, ("", None, False)))
        segments = [header(f"M{len(sent)}", _written(moment, chance)), patient()]
        for place, number in enumerate(
            chance.sample(range(len(names)), min(len(names), chance.randint(1, 2))), start=1
        ):
            segments.append(order(names[number], place=place))
            told = list(open_orders[number].items())
            chance.shuffle(told)
            for set_id, (code, state) in enumerate(told[: chance.randint(1, len(told))], start=1):
                after = _next(state, chance)
                open_orders[number][code] = after
                status, value, _ = after
                segments.append(result(code, "" if value is None else str(value), status, place=set_id))
                _note(truth, (names[number], code), moment, state, after)
        sent.append(message(*segments))
    return sent, truth


def _written(moment: datetime, chance: random.Random) -> str:
    """A time in one of several zones, which is that time nevertheless."""
    hours = chance.choice((-5, 0, 2, 7))
    return f"{moment + timedelta(hours=hours):%Y%m%d%H%M%S}{hours:+03}00"


def _next(state: tuple[str, Decimal | None, bool], chance: random.Random) -> tuple[str, Decimal | None, bool]:
    """What a laboratory tells next: status, value, and whether it was ever final."""
    status, value, was_final = state
    fresh = Decimal(chance.randint(1, 9999)) / 100
    if was_final:
        kinds = ("same", "corrected", "changed", "taken back") if status != "D" else ("same", "changed")
        match chance.choices(kinds, (6, 3, 2, 1)[: len(kinds)])[0]:
            case "corrected":
                return "C", fresh if fresh != value else fresh + 1, True
            case "changed":
                return "F", fresh if fresh != value else fresh + 1, True
            case "taken back":
                return "D", value, True
        return state
    status = chance.choice(("I", "P", "P", "F"))
    return status, None if status == "I" else fresh, status == "F"


def _note(
    truth: Truth,
    key: tuple[str, str],
    moment: datetime,
    before: tuple[str, Decimal | None, bool],
    after: tuple[str, Decimal | None, bool],
) -> None:
    if before[:2] == after[:2]:
        return
    truth.versions.setdefault(key, []).append((moment, after[0], after[1]))
    truth.corrections[key] = truth.corrections.get(key, 0) + (before[2] and after[0] in ("F", "C"))
