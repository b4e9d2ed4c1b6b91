"""The truth of what was measured is what exports, devices and messages say by plain counts."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from zoneinfo import ZoneInfo

from tests.healthcare.demo import clinics
from tests.healthcare.demo.clinics import truth


def test_codes_are_those_of_loinc(clinic: Path) -> None:
    """The digit behind the dash is the check digit of those before it (Luhn's)."""
    query = "select code from truth_observations union select part from truth_observations where part <> ''"
    codes = [code for (code,) in truth(clinic, f"{query} union select metric from truth_readings_daily")]
    for code in codes:
        number, digit = code.split("-")
        doubled = [int(each) * (2 - i % 2) for i, each in enumerate(reversed(number))]
        assert -sum(each // 10 + each % 10 for each in doubled) % 10 == int(digit), code
    assert len(codes) > 15


# --- measured --------------------------------------------------------------------------------------------------------


def test_observations(clinic: Path, versions: dict[clinics.Key, list[clinics.Resource]]) -> None:
    gone = clinics.deleted(clinic)
    found = {}
    for (kind, key), each in versions.items():
        last = each[-1]
        if kind != "Observation" or "device" in last:
            continue
        code = last["code"]["coding"][0]["code"]
        for part in last.get("component", [last]):
            measured = part.get("valueQuantity", {})
            value = measured.get("value") or part.get("valueCodeableConcept", {"coding": [{}]})["coding"][0].get("code")
            name = part["code"]["coding"][0]["code"] if "component" in last else ""
            gone_now = int((kind, key) in gone)
            found[(key, name)] = (code, last["status"].lower(), value, measured.get("code"), gone_now)
    query = "select observation_id, part, code, status, value, unit, is_deleted from truth_observations"
    assert {(key, part): tuple(row) for key, part, *row in truth(clinic, query)} == found
    assert {row[1] for row in found.values()} >= {"final", "corrected", "amended", "entered-in-error"}
    assert {row[3] for row in found.values()} >= {"kg", "[lb_av]", "Cel", "[degF]", "mg/dL", "mmol/L", "mm[Hg]"}
    for value, unit, standard in truth(
        clinic, "select value, unit, standard from truth_observations where standard <> ''"
    ):
        exact = {
            "kg": Fraction(value),
            "[lb_av]": Fraction(value) * Fraction("0.45359237"),
            "Cel": Fraction(value),
            "[degF]": (Fraction(value) - 32) * Fraction(5, 9),
        }[unit]
        assert abs(Fraction(standard) - exact) <= Fraction(1, 2 * 10**8)
        assert Decimal(standard).as_tuple().exponent == -8


def test_device_readings(
    clinic: Path, versions: dict[clinics.Key, list[clinics.Resource]], persons: dict[str, str]
) -> None:
    """Who wore a device is what its own versions say of the moment of a reading."""
    found: dict[tuple[str, str, str, str], list[int]] = {}
    without_subject = 0
    for (kind, _), each in versions.items():
        reading = each[-1]
        if kind != "Observation" or "device" not in reading:
            continue
        device = reading["device"]["reference"].removeprefix("Device/")
        at = datetime.fromisoformat(reading.get("effectiveInstant") or reading["effectiveDateTime"])
        states = [
            state
            for state in versions[("Device", device)]
            if datetime.fromisoformat(state["meta"]["lastUpdated"]) <= at
        ]
        patient = states[-1].get("patient", {}).get("reference", "").removeprefix("Patient/") if states else ""
        person = persons.get(patient, "")
        if "subject" in reading:
            assert reading["subject"]["reference"] == f"Patient/{patient}"
        without_subject += "subject" not in reading
        code = reading["code"]["coding"][0]["code"]
        total = found.setdefault((device, eastern(at), code, person), [0, 0])
        total[0] += 1
        total[1] += int(reading["valueQuantity"]["value"])
    assert {tuple(row[:4]): list(row[4:]) for row in truth(clinic, "select * from truth_readings_daily")} == found
    assert without_subject > 5000
    assert len({person for _, _, _, person in found}) > 40


def eastern(at: datetime) -> str:
    return at.astimezone(ZoneInfo("America/New_York")).date().isoformat()


# --- the laboratory --------------------------------------------------------------------------------------------------


def test_lab_files(clinic: Path) -> None:
    by_file: Counter[str] = Counter()
    segments: Counter[str] = Counter()
    texts: Counter[tuple[str, ...]] = Counter()
    for name, lines in clinics.messages(clinic):
        by_file[name] += 1
        texts[tuple(lines)] += 1
        segments.update(line[:3] for line in lines)
    assert dict(truth(clinic, "select segment, records from truth_lab_segments")) == segments
    assert dict(truth(clinic, "select file_name, message_count from truth_lab_files")) == by_file
    records, repeated, bad = truth(
        clinic, "select records, repeated, rejected from truth_counts where resource_type = 'ORU'"
    )[0]
    assert records == sum(by_file.values())
    assert repeated == sum(count - 1 for count in texts.values()) > 5
    assert bad == truth(clinic, "select count(*) from truth_rejects where resource_type = 'ORU'")[0][0] > 3
    for name, unreadable, line_end, has_bom in truth(
        clinic, "select file_name, unreadable_count, line_end, has_bom from truth_lab_files"
    ):
        content = (clinic / "systems/lab" / name).read_bytes()
        ends = {"CR": b"\r", "LF": b"\n", "CRLF": b"\r\n"}[line_end]
        assert content.endswith(ends)
        assert content.count(b"\n") == (0 if line_end == "CR" else content.count(ends))
        assert content.startswith(b"\xef\xbb\xbf") == bool(has_bom)
        assert content.lstrip(b"\xef\xbb\xbf").startswith(b"MSH") == (not unreadable)
    assert truth(clinic, "select count(distinct line_end) from truth_lab_files") == [(3,)]


def test_lab_results(clinic: Path, persons: dict[str, str]) -> None:
    """The last message by its own time holds, whatever came when; a change of a final value is a correction."""
    said = defaultdict(set)
    for result in clinics.results(clinic):
        time = datetime.strptime(result.reported, "%Y%m%d%H%M%S%z").astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        said[(result.order, result.code)].add((time, result.status, result.value or None, result.unit or None))
    found, all_versions = {}, set()
    for key, reports in said.items():
        states: list[tuple[str, str, str | None, str | None]] = []
        for report in sorted(reports, key=lambda each: each[0]):
            if not states or states[-1][1:] != report[1:]:
                states.append(report)
        corrections = sum(
            before[1] in ("F", "C") and before[2] != after[2] for before, after in itertools.pairwise(states)
        )
        found[key] = (*states[-1][1:], len(states), corrections)
        all_versions |= {(*key, *state) for state in states}
    query = "select filler_order, code, status, value, unit, version_count, correction_count from truth_lab_results"
    assert {(order, code): tuple(row) for order, code, *row in truth(clinic, query)} == found
    assert set(truth(clinic, "select * from truth_lab_versions")) == all_versions
    corrected = [row for row in found.values() if row[4]]
    assert {row[0] for row in corrected} == {"F", "C"}
    values = [str(row[1]) for row in found.values()]
    assert any("~" in value for value in values)
    assert any(value.startswith("<") for value in values)
    assert any("&" in value and "|" in value and "^" in value for value in values)
    of_order = {
        order: (person, mrn)
        for order, person, mrn in truth(clinic, "select filler_order, person_id, mrn from truth_lab_orders")
    }
    numbers = dict(truth(clinic, "select mrn, person_id from truth_patients"))
    for result in clinics.results(clinic):
        person, mrn = of_order[result.order]
        assert result.patient == (mrn or result.patient)
        assert mrn is None or numbers[mrn] == person


def test_lab_results_are_observations_as_well(clinic: Path) -> None:
    rows = truth(
        clinic,
        "select r.value, o.value, r.unit, o.unit, r.correction_count, o.status from truth_lab_results as r "
        "join truth_observations as o on o.observation_id = r.observation_id "
        "where r.value is not null and o.unit <> ''",
    )
    assert len(rows) > 2000
    for value, of_observation, unit, its_unit, corrections, status in rows:
        assert (value.lstrip("<"), unit) == (of_observation, its_unit)
        assert (status == "corrected") == bool(corrections)
