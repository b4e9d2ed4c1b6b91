"""Consents to research: given, limited by exceptions in exceptions, withdrawn, refused, recorded by mistake.

The rule of the truth: at a moment, the research consent that was decided last by then (`dateTime`, by any of a
person's records) says whether records may be used. A draft and one entered in error were never decided. One that was
made inactive, or whose own period is over, allows nothing more, and none before it comes back. Within it the base rule
holds, but for an exception whose period holds the moment, and in that one of its own.
"""

from __future__ import annotations

from typing import Any

from ingestion.demo.agenda import on, schedule
from ingestion.demo.clock import DAY, HOUR

from .clinic import Clinic, Row, new_resource, put, record_of, somebody, subject
from .clock import local, midnight
from .fhir import Resource, coding, term
from .truth import note_consents
from .vocabulary import TERMS

# A rule: [type, start, end, exceptions]; None is open.
Rule = list[Any]

_KINDS = (
    "permit",
    "permit",
    "permit",
    "permit",
    "a year",
    "limited",
    "limited",
    "nested",
    "refuse",
    "treatment",
    "draft",
)


@on("consent.ask")
def ask(clinic: Clinic, t: int, person_id: str, kind: str | None = None) -> None:
    """Somebody is asked; three of four decide something."""
    person, rng = clinic.people[person_id], clinic.rng
    drawn, chosen = rng.random(), rng.choice(_KINDS)
    if person["died_at"] is None and (kind or drawn < 0.75):
        decide(clinic, t, person, kind or chosen)


@on("consent.change")
def change(clinic: Clinic, t: int, how: str) -> None:
    """A consent is withdrawn (`inactive`), found to be a mistake (`entered-in-error`), or followed by another."""
    if how in ("inactive", "entered-in-error"):
        if clinic.open_consents:
            resource, row = clinic.open_consents.pop(clinic.rng.randrange(len(clinic.open_consents)))
            resource["status"] = row["status"] = how
            row["ended"] = t
            put(clinic, t, resource, row["person"])
            _note(clinic, row["person"])
        return
    person = somebody(clinic)
    if person:
        decide(clinic, t, person, how)


def decide(clinic: Clinic, t: int, person: Row, kind: str) -> None:
    """Somebody decides: makes the Consent."""
    start = t - t % 60
    later = midnight(start + (20 + clinic.rng.randrange(60)) * DAY)
    until = midnight(later + (10 + clinic.rng.randrange(60)) * DAY)
    exceptions: list[Rule] = []
    if kind == "limited":
        exceptions = [["deny", later, until, []]]
    elif kind == "nested":
        exceptions = [["deny", later, None, [["permit", until, midnight(until + 40 * DAY), []]]]]
    base = "deny" if kind == "refuse" else "permit"
    rule: Rule = [base, start, midnight(start + 365 * DAY) if kind == "a year" else None, exceptions]
    row: Row = {
        "person": person["id"],
        "status": "draft" if kind == "draft" else "active",
        "is_research": kind != "treatment",
        "decided": start,
        "ended": None,
        "rule": rule,
    }
    record = record_of(clinic, person)
    purpose = "TREAT" if kind == "treatment" else "HRESCH"
    resource = new_resource(clinic, "Consent") | {
        "status": row["status"],
        "scope": term("consentscope", "treatment" if kind == "treatment" else "research"),
        "category": [{"coding": [coding(f"{TERMS}/v3-ActCode", "RESEARCH")]}],
        "patient": subject(record),
        "dateTime": local(start),
        "policyRule": {"coding": [coding(f"{TERMS}/v3-ActCode", "OPTIN")]},
        "provision": _provision(rule, purpose),
    }
    put(clinic, t, resource, person["id"])
    clinic.consents.setdefault(person["id"], []).append(row)
    if kind in ("permit", "limited", "a year"):
        clinic.open_consents.append([resource, row])
    _note(clinic, person["id"])


def _provision(rule: Rule, purpose: str) -> Resource:
    kind, start, end, exceptions = rule
    period = {"start": local(start)} | ({"end": local(end)} if end is not None else {})
    nested = {"provision": [_provision(each, purpose) for each in exceptions]} if exceptions else {}
    return {"type": kind, "period": period, "purpose": [coding(f"{TERMS}/v3-ActReason", purpose)]} | nested


def _edges(rule: Rule) -> set[int]:
    return {edge for edge in rule[1:3] if edge is not None}.union(*(_edges(each) for each in rule[3]))


def _allows(rule: Rule, t: int) -> bool | None:
    """What a rule says of a moment; None where its period doesn't hold it."""
    kind, start, end, exceptions = rule
    if t < start or (end is not None and t >= end):
        return None
    for each in exceptions:
        said = _allows(each, t)
        if said is not None:
            return said
    return bool(kind == "permit")


def _note(clinic: Clinic, person: str) -> None:
    """Go through a person's decisions, from edge to edge."""
    decided = [row for row in clinic.consents[person] if row["is_research"] and row["status"] in ("active", "inactive")]
    edges = sorted({edge for row in decided for edge in (_edges(row["rule"]) | {row["ended"] or row["decided"]})})
    intervals: list[tuple[int, int | None]] = []
    for i, edge in enumerate(edges):
        known = [row for row in decided if row["decided"] <= edge]
        last = max(known, key=lambda row: row["decided"]) if known else None
        if last is None or (last["ended"] is not None and edge >= last["ended"]) or not _allows(last["rule"], edge):
            continue
        end = edges[i + 1] if i + 1 < len(edges) else None
        if intervals and intervals[-1][1] == edge:
            intervals[-1] = (intervals[-1][0], end)
        else:
            intervals.append((edge, end))
    note_consents(clinic, person, intervals)


@on("consent.ask_again")
def ask_again(clinic: Clinic, t: int) -> None:
    """Somebody who decided before decides anew, hours later the other way."""
    person = somebody(clinic)
    if person:
        decide(clinic, t, person, "refuse")
        schedule(clinic, t + 30 * HOUR, "consent.ask", person["id"], "permit")
