"""Staging of FHIR is the same on both engines: on the shared files, and on values that engines take differently."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ingestion.contract.reading import read_contract
from tests.fhir.resources import FHIR, SHARED, Staged, from_bundles, from_export

pytestmark = pytest.mark.postgres

# As they are written, and what is known of them: the UTC time, the local date, the precision. Worked out by hand;
# London is an hour ahead in June.
MOMENTS = [
    ("2020", None, None, "year"),
    ("2020-02", None, None, "month"),
    ("2020-02-29", "2020-02-29T00:00:00", "2020-02-29", "day"),
    ("2021-02-29", None, None, None),
    ("1900-02-29", None, None, None),
    ("2000-02-29", "2000-02-29T00:00:00", "2000-02-29", "day"),
    ("2020-06-31", None, None, None),
    ("2020-13", None, None, None),
    ("2020-06-01", "2020-05-31T23:00:00", "2020-06-01", "day"),
    ("2020-06-01T10:00:00Z", "2020-06-01T10:00:00", "2020-06-01", "second"),
    ("2020-06-01T10:00:00", "2020-06-01T09:00:00", "2020-06-01", "second"),
    ("2020-06-01T10:00:00+02:00", "2020-06-01T08:00:00", "2020-06-01", "second"),
    ("2020-06-01T10:00+02:00", None, None, None),
    ("2020-06-01T23:30:00-05:00", "2020-06-02T04:30:00", "2020-06-01", "second"),
    ("2020-12-31T23:59:59.9999999Z", "2020-12-31T23:59:59.999999", "2020-12-31", "millisecond"),
    ("2020-12-31T23:59:59.999999999-01:00", "2021-01-01T00:59:59.999999", "2020-12-31", "millisecond"),
    ("2020-06-01T10:00:00.5+14:00", "2020-05-31T20:00:00.500000", "2020-06-01", "millisecond"),
    ("2020-06-01T10:00:00+14:30", None, None, None),
    ("2020-06-01T24:00:00Z", None, None, None),
    ("2020-06-01T10:00:60Z", None, None, None),
    ("2020-06-01 10:00:00", None, None, None),
    ("01.06.2020", None, None, None),
    ("now", None, None, None),
    ("", None, None, None),
]

# Of what the shared files have none: made up.
MADE_UP: dict[str, list[dict[str, Any]]] = {
    "Patient": [{"id": "old", "link": [{"other": {"reference": "Patient/new"}, "type": "replaced-by"}]}],
    "Observation": [
        {
            "id": "panel",
            "status": "Final ",
            "code": {"text": "a panel"},
            "subject": {"reference": "Patient/new"},
            "hasMember": [
                {"reference": "Observation/a"},
                {"reference": "https://lab.example/fhir/Observation/b/_history/2"},
            ],
            "derivedFrom": [{"reference": "Observation/c"}, {"reference": "DocumentReference/d"}],
            "valueRange": {"low": {"value": 1.5, "code": "mg"}, "high": {"value": 2}},
        },
        {
            "id": "ratio",
            "status": "final",
            "code": {
                "coding": [
                    {"system": "http://local", "code": "1"},
                    {"system": "http://loinc.org", "code": "2", "display": "Two"},
                ]
            },
            "valueBoolean": False,
            "valueRatio": {"numerator": {"value": "123456789012345678.5"}, "denominator": {"value": 1e-7}},
        },
    ],
    "Encounter": [
        {
            "id": "stay",
            "status": "finished",
            "diagnosis": [{"condition": {"reference": "Condition/c"}, "rank": 1}],
        }
    ],
    "Procedure": [{"id": "cut", "performer": [{"actor": {"reference": "Practitioner/p"}}]}],
    "DocumentReference": [
        {
            "id": "second",
            "status": "current",
            "content": [],
            "relatesTo": [{"code": "replaces", "target": {"reference": "DocumentReference/first"}}],
        }
    ],
    "Consent": [
        {
            "id": "consent",
            "status": "active",
            "patient": {"reference": "Patient/new"},
            "dateTime": "2020-06-01",
            "scope": {"coding": [{"code": "research"}]},
            "category": [{"coding": [{"code": "INFAO"}]}],
            "provision": {
                "type": "deny",
                "provision": [
                    {
                        "type": "permit",
                        "period": {"start": "2020", "end": "2021-06-01"},
                        "purpose": [{"code": "HRESCH"}, {"code": "TREAT"}],
                    },
                    {
                        "type": "permit",
                        "provision": [
                            {
                                "type": "deny",
                                "action": [
                                    {"coding": [{"code": "access"}, {"code": "use"}]},
                                    {"coding": [{"code": "disclose"}]},
                                ],
                            },
                            {"type": "deny", "class": [{"code": "Observation"}]},
                        ],
                    },
                ],
            },
        },
        {"id": "without", "status": "active"},
    ],
    "*": [{"resource_type": "Basic", "id": "1", "byte_count": 17}],
}

# As JSON has them, and the number.
DECIMALS = [
    ("1", "1"), ("-0.5", "-0.5"), ("1e2", "100"), ("1.5E-7", "0.00000015"), ("0.123456785", "0.12345679"),
    ("-0.123456785", "-0.12345679"), ('"123456789012345678.12345678"', "123456789012345678.12345678"),
    ('"12345678901234567890.5"', "12345678901234567890.5"), ('"123456789012345678901"', None), ('"n/a"', None),
    ('"1,5"', None), ('"NaN"', None), ('""', None), ("null", None), ('"1e99"', None),
]  # fmt: skip


@pytest.fixture
def engines(tmp_path: Path, new_postgres_database: Callable[[], dict[str, str]]) -> list[Staged]:
    (tmp_path / "duckdb").mkdir()
    (tmp_path / "postgres").mkdir()
    return [Staged(tmp_path / "duckdb", None), Staged(tmp_path / "postgres", new_postgres_database())]


def odd(resource: dict[str, Any], number: int) -> dict[str, Any]:
    """A resource in which every list has an item that is null, a text has a NUL, and an object is empty."""

    def made(value: Any) -> Any:
        if isinstance(value, list):
            return [None, *(made(each) for each in value), {}]
        if isinstance(value, dict):
            return {key: made(each) for key, each in value.items()}
        return f"{value}\x00" if isinstance(value, str) and value.startswith("http://") else value

    return {**made(copy.deepcopy(resource)), "id": f"odd-{number}", "resourceType": resource["resourceType"]}


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared health data isn't beside the project")
def test_models_are_the_same_on_both_engines(engines: list[Staged]) -> None:
    for staged in engines:
        for table in read_contract("fhir").tables:
            kind = str(table.meta.get("resource_type"))
            resources = [*from_export(kind)[:400], *from_bundles(kind)[:400]] if kind.isalpha() else []
            odds = (odd(each, number) for number, each in enumerate(resources[:40]))
            staged.fill(table.name, [*resources, *MADE_UP.get(kind, []), *odds])
        staged.stage(*(file.stem for file in FHIR.glob("stg_fhir__*.sql")))
    counted = {}
    for file in sorted(FHIR.glob("stg_fhir__*.sql")):
        first, second = (sorted(map(repr, staged.rows(f"select * from main.{file.stem}"))) for staged in engines)
        assert first == second, file.stem
        counted[file.stem] = len(first)
    assert [name for name, count in counted.items() if not count] == ["stg_fhir__files"]


def test_provisions_are_as_deep_as_they_are_loaded(engines: list[Staged]) -> None:
    for staged in engines:
        staged.fill("consents", MADE_UP["Consent"])
        staged.fill("observations", MADE_UP["Observation"])
        staged.stage("stg_fhir__consent_provisions", "stg_fhir__observation_references", "stg_fhir__observations")
        assert sorted(staged.rows("""
            select provision_index, subprovision_index, provision_type, action_codes, purpose_codes, class_codes,
                started_precision, started_date, ended_date
            from main.stg_fhir__consent_provisions where consent_id = 'consent'
        """), key=lambda row: row[:2]) == [
            (-1, -1, "deny", "", "", "", None, None, None),
            (0, -1, "permit", "", "HRESCH,TREAT", "", "year", None, date(2021, 6, 1)),
            (1, -1, "permit", "", "", "", None, None, None),
            (1, 0, "deny", "access,use,disclose", "", "", None, None, None),
            (1, 1, "deny", "", "", "Observation", None, None, None),
        ]  # fmt: skip
        assert staged.rows("select count(*) from main.stg_fhir__consent_provisions") == [(5,)]
        assert sorted(
            staged.rows(
                "select relation, reference_index, related_observation_id from main.stg_fhir__observation_references"
            ),
            key=str,
        ) == [("derived-from", 0, "c"), ("derived-from", 1, None), ("has-member", 0, "a"), ("has-member", 1, "b")]
        assert sorted(staged.rows("""
            select observation_id, status, observation_system, observation_code, value_boolean, value_range_low,
                value_numerator_text, value_numerator, value_denominator
            from main.stg_fhir__observations
        """)) == [
            ("panel", "final", None, None, None, Decimal("1.5"), None, None, None),
            ("ratio", "final", "http://loinc.org", "2", False, None, "123456789012345678.5",
             Decimal("123456789012345678.5"), Decimal("0.0000001")),
        ]  # fmt: skip


def test_times_are_what_they_say(engines: list[Staged]) -> None:
    rows = " union all ".join(f"select {at} as id, '{text}' as written" for at, (text, *_) in enumerate(MOMENTS))
    for staged in engines:
        staged.stage(
            moments=f"with moments as ({rows}), "
            "judged as (select *, {{ fhir_precision('written') }} as precision from moments) "
            "select id, {{ fhir_at('written', 'precision') }} as made_at, "
            "{{ fhir_date('written', 'precision') }} as made_date, precision as made_precision from judged"
        )
        expected = [
            (at, moment and datetime.fromisoformat(moment), day and date.fromisoformat(day), precision)
            for at, (_, moment, day, precision) in enumerate(MOMENTS)
        ]
        assert staged.rows("select * from main.moments order by id") == expected


def test_decimals_are_exact(engines: list[Staged]) -> None:
    rows = " union all ".join(
        f"select {at} as id, '{{\"v\": {each}}}' as document" for at, (each, _) in enumerate(DECIMALS)
    )
    for staged in engines:
        staged.stage(
            decimals=f"with decimals as ({rows}) "
            "select id, {{ fhir_decimal(json_place_text('document', ['v'])) }} as number from decimals"
        )
        found = dict(staged.rows("select id, number from main.decimals"))
        assert found == {at: number and Decimal(number) for at, (_, number) in enumerate(DECIMALS)}
