"""Signals that ask a command to end: it undoes what is half done, records its run, and says so in its last line."""

from __future__ import annotations

import signal
import sys

# Those that a terminal, a service manager and a container's runtime send.
ENDING = (signal.SIGINT, signal.SIGTERM)


def end_by_signals() -> None:
    """Have either signal raise KeyboardInterrupt where the command is, so that it leaves as by any other failure."""

    def end(number: int, frame: object) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    for number in ENDING:
        signal.signal(number, end)


def interrupt_of(error: BaseException | None) -> KeyboardInterrupt | None:
    """The KeyboardInterrupt that an error is, comes from, or came up over.

    DuckDB makes a RuntimeError of one within a statement; what cleans up after one may fail itself.
    """
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error


def said_ended(error: BaseException) -> int:
    """Say on standard error which signal ended the command. Returns the exit status, 128 and the signal's number.

    Raises:
        BaseException: the error itself, where no signal caused it.
    """
    interrupt = interrupt_of(error)
    if interrupt is None:
        raise error
    name = str(interrupt) or signal.SIGINT.name
    print(
        f"FAILED: {name} ended it before it was done. What readers see is whole; run it again, and it goes on",
        file=sys.stderr,
    )
    return 128 + signal.Signals[name]
