"""The truth of exports, encounters, persons and consents is what the files say by plain counts."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from tests.healthcare.demo import clinics
from tests.healthcare.demo.clinics import truth

# --- exports ---------------------------------------------------------------------------------------------------------


def test_counts_of_records(clinic: Path) -> None:
    """Records written, and those that are broken, counted by DuckDB on the text; repeated ones as equal lines."""
    lines = duckdb.sql(f"""
        with files as (
            select filename, unnest(string_split(rtrim(content, chr(10)), chr(10))) as line
            from read_text('{clinic}/systems/fhir/*/[A-Z]*.ndjson')
        )
        select regexp_extract(filename, '/([A-Za-z]+)\\.[0-9]+\\.ndjson', 1) as kind, count(*),
            count(*) - count(distinct line),
            count(*) filter (
                not json_valid(line) or not contains(line, '"id":"') or contains(line, '"status":"finall"')
                or contains(line, '"gender":"M."')
                or (contains(filename, '/Observation.') and not contains(line, '"code":{{'))
            )
        from files group by all""").fetchall()
    found = {kind: list(numbers) for kind, *numbers in lines}
    for path in (clinic / "systems/fhir").glob("*/transaction-*.json"):
        for entry in json.loads(path.read_text())["entry"]:
            found[entry["resource"]["resourceType"]][0] += 1
    expected = "select resource_type, records, repeated, rejected from truth_counts where resource_type <> 'ORU'"
    assert {kind: list(numbers) for kind, *numbers in truth(clinic, expected)} == found
    gone = Counter(kind for kind, _ in clinics.deleted(clinic))
    assert gone == {kind: n for kind, n in truth(clinic, "select resource_type, deletes from truth_counts") if n}
    assert len(found) == 18


def test_manifests_count_their_files(clinic: Path) -> None:
    for path in (clinic / "systems/fhir").glob("*/manifest.json"):
        manifest = json.loads(path.read_text())
        said = {each["url"].rpartition("/")[2]: each["count"] for each in manifest["output"] + manifest["deleted"]}
        files = {each.name: len(each.read_text().splitlines()) for each in path.parent.glob("*.ndjson")}
        assert said == files
        day = date.fromisoformat(path.parent.name) + timedelta(days=1)
        assert manifest["transactionTime"] == f"{day}T00:00:00Z"


def test_last_states(clinic: Path, versions: dict[clinics.Key, list[clinics.Resource]]) -> None:
    gone = clinics.deleted(clinic)
    found = {}
    for key, each in versions.items():
        last = each[-1]
        status = last.get("status", "").lower() or None
        if "clinicalStatus" in last:
            status = last["clinicalStatus"]["coding"][0]["code"]
        found[key] = (status, int(key in gone))
    query = "select resource_type, resource_id, status, is_deleted from truth_resources"
    assert {(kind, key): tuple(rest) for kind, key, *rest in truth(clinic, query)} == found
    assert not truth(clinic, "select * from truth_waiting")


def test_rejects(clinic: Path) -> None:
    found = []
    for day, resource_type, line in clinics.exported(clinic):
        try:
            resource = json.loads(line)
        except json.JSONDecodeError:
            found.append((resource_type, "unreadable", day))
            continue
        if not clinics.is_good(resource):
            reason = (
                "missing:id" if "id" not in resource else "value:gender" if "gender" in resource
                else "missing:code" if "code" not in resource else "value:status"
            )  # fmt: skip
            found.append((resource_type, reason, day))
    query = "select resource_type, reason, written_date from truth_rejects where resource_type <> 'ORU'"
    # Rare things happen between 5 and 20 h UTC: the local date is the export's.
    assert sorted(truth(clinic, query)) == sorted(found)
    assert len({reason for _, reason, _ in found}) == 5


def test_elements_that_r4_does_not_know(clinic: Path) -> None:
    count = sum('"subjectStatus"' in line for _, _, line in clinics.exported(clinic))
    assert truth(clinic, "select * from truth_unknown_elements") == [("Encounter", "subjectStatus", count)]


def test_references(clinic: Path, versions: dict[clinics.Key, list[clinics.Resource]]) -> None:
    """Each reference to a patient or an encounter resolves, but for those that are noted."""
    odd = set(truth(clinic, "select rule, resource_id from truth_inconsistencies where rule like 'unknown %'"))
    found = set()
    for (_, resource_id), each in versions.items():
        for name in ("subject", "patient", "encounter"):
            target = each[-1].get(name, {}).get("reference")
            key = tuple(target.replace("urn:uuid:", "Encounter/").split("/")) if target else None
            if key and key not in versions:
                found.add((f"unknown {'encounter' if name == 'encounter' else 'patient'}", resource_id))
    assert found == odd


def test_order_of_arrival(clinic: Path) -> None:
    """Now and then an older version comes after a newer one, and a version comes twice."""
    arrived = defaultdict(list)
    for day, resource_type, line in clinics.exported(clinic):
        if resource_type == "Observation" and line.endswith("}"):
            resource = json.loads(line)
            arrived[resource.get("id")].append((day, resource["meta"]["lastUpdated"]))
    late = [times for each in arrived.values() if (times := [at for _, at in sorted(each)]) != sorted(times)]
    assert len(late) >= 3
    assert sum(len(set(each)) < len(each) for each in arrived.values()) > 20


# --- encounters ------------------------------------------------------------------------------------------------------


def test_encounters(clinic: Path, versions: dict[clinics.Key, list[clinics.Resource]], persons: dict[str, str]) -> None:
    """Local dates are those that are written; UTC's are another for a part."""
    found = {}
    for (kind, key), each in versions.items():
        if kind == "Encounter":
            last = each[-1]
            start, end = last["period"]["start"], last["period"].get("end")
            patient = last["subject"]["reference"].removeprefix("Patient/")
            seconds = end and (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
            found[key] = (
                persons[patient], patient, last["class"]["code"], last["status"], utc(start), end and utc(end),
                start[:10], end and end[:10], seconds,
            )  # fmt: skip
    assert {key: tuple(row) for key, *row in truth(clinic, "select * from truth_encounters")} == found
    assert sum(row[4][:10] != row[6] for row in found.values()) > 300
    assert sum(row[6] != row[7] for row in found.values() if row[2] == "EMER" and row[7]) > 100


def test_offsets(versions: dict[clinics.Key, list[clinics.Resource]]) -> None:
    """Local times have the offset that Boston has at that moment, summer and winter."""
    written = [each[-1]["period"]["start"] for (kind, _), each in versions.items() if kind == "Encounter"]
    for text in written:
        at = datetime.fromisoformat(text)
        assert at.utcoffset() == at.astimezone(ZoneInfo("America/New_York")).utcoffset(), text
    assert len({text[-6:] for text in written}) == 2


def utc(text: str) -> str:
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def test_stays(clinic: Path) -> None:
    stays = truth(
        clinic,
        "select e.person_id, e.encounter_id, e.started_at, e.ended_at, e.started_date, e.ended_date "
        "from truth_encounters as e where class = 'IMP' and status = 'finished' order by 1, started_at",
    )
    found, before = {}, ("", "")
    for person, key, start, end, first, last in stays:
        gap = None
        if before[0] == person:
            gap = (datetime.fromisoformat(start) - datetime.fromisoformat(before[1])).total_seconds()
        nights = (date.fromisoformat(last) - date.fromisoformat(first)).days
        found[key] = (nights, gap, int(gap is not None and 0 <= gap <= 30 * 86_400))
        before = (person, end)
    query = "select encounter_id, nights, seconds_since_stay_before, is_readmission from truth_stays"
    assert {key: tuple(row) for key, *row in truth(clinic, query)} == found
    assert sum(row[2] for row in found.values()) > 15
    # Somebody comes back under another record: by patient it is none.
    several = [
        patients
        for (patients,) in truth(clinic, "select count(distinct patient_id) from truth_stays group by person_id")
    ]
    assert max(several) > 1


# --- persons ---------------------------------------------------------------------------------------------------------


def test_persons(clinic: Path, versions: dict[clinics.Key, list[clinics.Resource]], persons: dict[str, str]) -> None:
    last = {key: each[-1] for (kind, key), each in versions.items() if kind == "Patient"}
    assert set(last) == set(persons)
    by_ssn, by_looks = defaultdict(set), defaultdict(set)
    for key, patient in last.items():
        numbers = {each["type"]["coding"][0]["code"]: each["value"] for each in patient["identifier"]}
        if "SS" in numbers:
            by_ssn[numbers["SS"]].add(key)
        by_looks[(patient["birthDate"], patient["address"][0]["postalCode"])].add(persons[key])
    # A number is one person's; some persons have several records, some of them without the number.
    assert all(len({persons[key] for key in each}) == 1 for each in by_ssn.values())
    assert sum(len(each) > 1 for each in by_ssn.values()) > 5
    records = Counter(persons.values())
    with_number = {persons[key] for each in by_ssn.values() if len(each) > 1 for key in each}
    assert {person for person, count in records.items() if count > 1} - with_number
    # Strangers share birth date and ZIP, twins the family name as well.
    assert sum(len(each) > 1 for each in by_looks.values()) > 10
    twins = truth(
        clinic,
        "select count(*) from truth_patients as a join truth_patients as b on a.birth_date = b.birth_date "
        "and a.family_name = b.family_name and a.postal_code = b.postal_code and a.person_id < b.person_id "
        "where a.ssn <> b.ssn and a.given_name <> b.given_name",
    )
    assert twins[0][0] > 0
    linked = {key for key, each in last.items() if "link" in each}
    query = "select patient_id from truth_merges where parted_at is null"
    assert {key for (key,) in truth(clinic, query)} == linked
    assert truth(clinic, "select count(*) from truth_merges where is_right = 0 and parted_at is not null")[0][0] > 4


def test_records_say_who_is_who(clinic: Path) -> None:
    """By number, or by names and birth date, or by family name, ZIP and birth date where no two numbers contradict."""
    query = "select patient_id, person_id, ssn, family_name, given_name, birth_date, postal_code from truth_patients"
    found, true = set(), set()
    for one, other in itertools.combinations(truth(clinic, query), 2):
        pair = (one[0], other[0])
        if one[1] == other[1]:
            true.add(pair)
        if one[2] and other[2]:
            is_match = one[2] == other[2]
        else:
            is_match = one[3:6] == other[3:6] or (one[3], *one[5:]) == (other[3], *other[5:])
        if is_match:
            found.add(pair)
    assert found == true
    assert len(true) > 25


def test_what_is_hard_to_hide(clinic: Path, versions: dict[clinics.Key, list[clinics.Resource]]) -> None:
    """Restricted ZIP prefixes, people over 89, partial dates, notes that tell it all."""
    patients = [each[-1] for (kind, _), each in versions.items() if kind == "Patient"]
    prefixes = Counter(each["address"][0]["postalCode"][:3] for each in patients)
    assert all(prefixes[each] for each in ("036", "059", "102", "821", "340", "000"))
    assert {len(each["birthDate"]) for each in patients} == {4, 7, 10}
    dead = [each["deceasedDateTime"] for each in patients if "deceasedDateTime" in each]
    assert {len(each) for each in dead} >= {7, 10, 25}
    assert any(each.get("deceasedBoolean") is True for each in patients)
    born = "select birth_date, coalesce(died_date, '2025-12-30') from truth_persons"
    ages = [(date.fromisoformat(end) - date.fromisoformat(start)).days / 365.25 for start, end in truth(clinic, born)]
    assert sum(age > 90.1 for age in ages) > 15
    assert (
        truth(clinic, "select count(*) from truth_persons where died_date >= date(birth_date, '+90 years')")[0][0] > 0
    )
    identifiers = [value for (value,) in truth(clinic, "select value from truth_identifiers where kind = 'mrn'")]
    assert len(set(identifiers)) == len(patients)


def test_population(clinic: Path) -> None:
    """Who was there and alive as a month ended, by the persons' own dates."""
    for month, persons in truth(clinic, "select month, sum(persons) from truth_population_monthly group by month"):
        query = f"registered_date <= '{month}-31' and coalesce(died_date, '9999') > '{month}-31'"
        assert truth(clinic, f"select count(*) from truth_persons where {query}") == [(persons,)]
    months = "select count(distinct month), min(month), max(month) from truth_population_monthly"
    assert truth(clinic, months) == [(23, "2024-01", "2025-11")]


# --- consents --------------------------------------------------------------------------------------------------------


def allowed(provision: dict[str, Any], at: datetime) -> bool | None:
    """What a provision says of a moment, the deepest that holds it: None where its period doesn't."""
    period = provision["period"]
    if at < datetime.fromisoformat(period["start"]):
        return None
    if "end" in period and at >= datetime.fromisoformat(period["end"]):
        return None
    for each in provision.get("provision", []):
        deeper = allowed(each, at)
        if deeper is not None:
            return deeper
    return bool(provision["type"] == "permit")


def test_consents(clinic: Path, versions: dict[clinics.Key, list[clinics.Resource]], persons: dict[str, str]) -> None:
    """At thousands of moments, what the Consents say by themselves is what the truth's intervals say."""
    decided = defaultdict(list)
    for (kind, _), each in versions.items():
        if kind != "Consent" or each[-1]["status"] not in ("active", "inactive"):
            continue
        if each[-1]["provision"]["purpose"][0]["code"] == "HRESCH":
            ended = each[-1]["meta"]["lastUpdated"] if each[-1]["status"] == "inactive" else "9999-12-31T00:00:00Z"
            person = persons[each[-1]["patient"]["reference"].removeprefix("Patient/")]
            times = (datetime.fromisoformat(each[-1]["dateTime"]), datetime.fromisoformat(ended))
            decided[person].append((*times, each[-1]["provision"]))
    intervals = defaultdict(list)
    for person, start, end in truth(clinic, "select * from truth_consents"):
        intervals[person].append((start, end))
    rng, said = random.Random(1), Counter[bool]()
    for person in sorted(set(persons.values())):
        for _ in range(40):
            at = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(seconds=rng.randrange(730 * 86_400))
            known = [each for each in decided[person] if each[0] <= at]
            last = max(known, key=lambda each: each[0], default=None)
            is_allowed = bool(last and at < last[1] and allowed(last[2], at))
            moment = at.strftime("%Y-%m-%d %H:%M:%S")
            assert is_allowed == any(start <= moment < end for start, end in intervals[person]), (person, moment)
            said[is_allowed] += 1
    assert min(said.values()) > 2000
    statuses = Counter(each[-1]["status"] for (kind, _), each in versions.items() if kind == "Consent")
    assert set(statuses) == {"active", "inactive", "entered-in-error", "draft"}
