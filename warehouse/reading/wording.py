"""The words in which a question is put, and MetricFlow's names of what they stand for.

Where `dimensions` are taken, they are what the metrics can be grouped by: full names, and the dimensions' own.
"""

from __future__ import annotations

import re

from warehouse.errors import BuildError

GRAINS = ("day", "week", "month", "quarter", "year")
_WORD = re.compile(r"'(?:[^']|'')*'|\b[a-zA-Z_]\w*\b")


def listed(text: str) -> tuple[str, ...]:
    """The words of a text with commas between them."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def number(text: str) -> int:
    """The number of a limit. Raises BuildError where it is none."""
    if not text.strip().isdigit():
        raise BuildError(f"limit takes a number, not {text.strip()!r}")
    return int(text)


def _candidates(word: str, dimensions: dict[str, str]) -> list[str]:
    """The full names that a word may stand for: `month`, `channel__channel_name`, `channel_name`, `channel`."""
    if word in GRAINS:
        return [f"metric_time__{word}"]
    if word in dimensions or word == "metric_time" or word.rsplit("__", 1)[-1] in GRAINS:
        return [word]
    found = [full for full, own in dimensions.items() if word in (own, own.removesuffix("_name"))]
    nearest = min((full.count("__") for full in found), default=0)
    return sorted(full for full in found if full.count("__") == nearest)


def resolved(word: str, dimensions: dict[str, str]) -> str:
    """MetricFlow's name of what a word stands for. Raises BuildError where that is nothing, or several things."""
    found = _candidates(word, dimensions)
    if len(found) == 1:
        return found[0]
    choice = ", ".join(found or [*GRAINS, *sorted(dimensions)])
    raise BuildError(
        f"{word!r} is {'no dimension of this metric' if not found else 'several things'}: choose from {choice}"
    )


def ordered(word: str, metrics: tuple[str, ...], dimensions: dict[str, str]) -> str:
    """What is ordered by, with its sign: a metric, or what `resolved` gives."""
    sign, name = ("-", word[1:]) if word.startswith("-") else ("", word)
    return sign + (name if name in metrics else resolved(name, dimensions))


def condition(where: str, dimensions: dict[str, str]) -> str:
    """A condition with its dimensions as MetricFlow writes them."""

    def named(match: re.Match[str]) -> str:
        word = match[0]
        found = [] if word.startswith("'") else _candidates(word, dimensions)
        if len(found) != 1:
            return word
        if found[0].startswith("metric_time"):
            return (
                f"{{{{ TimeDimension('metric_time', '{found[0].removeprefix('metric_time').strip('_') or 'day'}') }}}}"
            )
        return f"{{{{ Dimension('{found[0]}') }}}}"

    return where if "{{" in where else _WORD.sub(named, where)
