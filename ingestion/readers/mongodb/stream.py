"""What happened to a collection, from its change stream: from a resume token to one moment of the whole cluster."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bson import Timestamp, json_util
from pymongo.change_stream import ChangeStream
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

# The server no longer has the token's place in its log (ChangeStreamHistoryLost, ChangeStreamFatalError), or doesn't
# know the token.
_LOST = (286, 280, 9, 260)
# There are no change streams: no replica set, or a view.
_NONE = (40573, 20, 59, 166, 303)
_WAIT_MS = 100
_WAITS = 20  # at most, where the log is long and little of it concerns the collection
_KEPT = ("insert", "update", "replace", "delete")


class LostError(Exception):
    """The stream can't go on from the token: what happened since is no longer known, or the collection is another."""


@dataclass
class Changes:
    """The last state of each document that changed, at each moment of the cluster that the stream knows of.

    versions: by the document's key and revision: the document, and when it came to be so.
    deletes: by the same: when it was deleted.
    unknown: by key: the revision and time of the last update of which the stream had no document.
    token: where the next load goes on.
    """

    versions: dict[tuple[Any, int], tuple[Any, datetime]] = field(default_factory=dict)
    deletes: dict[tuple[Any, int], datetime] = field(default_factory=dict)
    unknown: dict[Any, tuple[int, datetime]] = field(default_factory=dict)
    token: str = ""


def revision_of(moment: Timestamp) -> int:
    """A moment of the cluster as a number: its seconds since 1970, and which operation of that second it was."""
    return (moment.time << 32) | moment.inc


def beginning(collection: Collection[dict[str, Any]]) -> str | None:
    """The token of now; None where the server has no change streams."""
    try:
        with collection.watch(max_await_time_ms=_WAIT_MS) as stream:
            stream.try_next()
            return json_util.dumps(stream.resume_token)
    except OperationFailure as error:
        if error.code in _NONE:
            return None
        raise


def changes(collection: Collection[dict[str, Any]], token: str, end: Timestamp) -> Changes:
    """What happened after a token and not after a moment.

    Raises:
        LostError: the server doesn't have it any more, or the collection was dropped or renamed.
    """
    found = Changes(token=token)
    try:
        with collection.watch(
            resume_after=json.loads(token, object_hook=json_util.object_hook),
            full_document="whenAvailable",
            max_await_time_ms=_WAIT_MS,
        ) as stream:
            while (event := _next(stream)) is not None and event["clusterTime"] <= end:
                if event["operationType"] not in _KEPT:
                    raise LostError(f"it was the subject of {event['operationType']}")
                _take(found, event)
                found.token = json_util.dumps(event["_id"])
            if event is None:
                # Further on than the last event, so that the server need not keep its log for a quiet collection.
                found.token = json_util.dumps(stream.resume_token)
    except OperationFailure as error:
        if error.code in _LOST:
            raise LostError("the server's log no longer has what happened since") from error
        raise
    return found


def _next(stream: ChangeStream[dict[str, Any]]) -> Any:
    """The next event; None where the server has read its log to the end, or has been looking for long."""
    before = None
    for _ in range(_WAITS):
        event = stream.try_next()
        if event is not None or stream.resume_token == before:
            return event
        before = stream.resume_token
    return None


def _take(found: Changes, event: Any) -> None:
    key, revision = event["documentKey"]["_id"], revision_of(event["clusterTime"])
    moment = event.get("wallTime") or event["clusterTime"].as_datetime()
    name = json_util.dumps(key)
    place = (name, revision)
    # Of several changes at one moment, those of a transaction, the last one holds.
    found.versions.pop(place, None)
    found.deletes.pop(place, None)
    if event["operationType"] == "delete":
        found.deletes[place] = moment
        found.unknown.pop(name, None)
    elif event.get("fullDocument") is not None:
        found.versions[place] = (event["fullDocument"], moment)
        found.unknown.pop(name, None)
    else:
        found.unknown[name] = (revision, moment)
