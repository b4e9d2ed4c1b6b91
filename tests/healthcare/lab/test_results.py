"""Results of laboratories as history, by whole builds on both engines, against what is known from elsewhere."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.absent import absent
from tests.healthcare.lab.messages import SHARED, header, message, order, patient, result
from tests.healthcare.lab.truth import Truth, reporting
from tests.healthcare.marts.care import ask
from tests.warehouses import build_from, differences

MESSAGES, PARTS = 2_000, 3


def build(folder: Path, delivered: Path, engine: dict[str, str], *, tested: bool = True) -> None:
    sources = {"SOURCES__LAB__BUCKET_URL": str(delivered), "DOMAINS": "healthcare", **engine}
    build_from(folder, sources, tested=tested)


@pytest.fixture(params=["duckdb", "postgres"])
def engine(request: pytest.FixtureRequest) -> dict[str, str]:
    """The variables that name a new warehouse's engine; none for DuckDB."""
    if request.param == "duckdb":
        return {}
    database: dict[str, str] = request.getfixturevalue("postgres_database")
    return {**database, "TARGET": "prod"}


def test_real_results(engine: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if not SHARED.exists():
        absent(request, "THE REAL HL7 MESSAGES ARE NOT HERE: RESULTS NOT TESTED ON THEM")
    build(tmp_path, SHARED, engine)
    place = engine or tmp_path
    of_two = "where filler_order_id in ('82503246', '890775544')"
    totals = "count(*), count(*) filter (is_current), count(distinct lab_result_key), sum(correction_count)"
    assert ask(place, f"select {totals} from healthcare.fct_lab_results {of_two}") == [(20, 10, 10, 1)]
    rows = ask(
        place,
        f"""
        select analyte_code, result_status, value_number, is_correction_of_final, valid_from
        from healthcare.fct_lab_results {of_two} and filler_order_id = '82503246' order by analyte_code, valid_from""",
    )
    assert [(code, status, value, corrects) for code, status, value, corrects, _ in rows] == [
        ("11125-2", "final", Decimal(221), False), ("11125-2", "final", Decimal(220), True),
        ("11156-7", "pending", None, False), ("11156-7", "final", Decimal("8.2"), False),
        ("11273-0", "preliminary", Decimal("4.06"), False), ("11273-0", "final", Decimal("4.08"), False),
        ("20509-6", "pending", None, False), ("20509-6", "final", Decimal("13.4"), False),
        ("20570-8", "preliminary", Decimal("40.1"), False), ("20570-8", "final", Decimal("39.7"), False),
    ]  # fmt: skip
    assert {str(row[-1]) for row in rows} == {"2014-10-05 23:45:00", "2014-10-06 02:31:00"}  # 06:45 and 09:31 at +0700
    others = (
        "value_comparator, value_number, value_text, value_code, value_code_system, observed_date, observed_precision"
    )
    assert [(*row[:6], str(row[6]), row[7]) for row in ask(
        place, f"select filler_order_id, {others} from healthcare.fct_lab_results where filler_order_id in "
        "('1045813', '986') order by 1",
    )] == [
        ("1045813", None, Decimal(182), "^182", None, None, "2002-02-15", "second"),
        ("986", None, None, "Salmonella", "27268008", "SCT", "2012-03-01", "day"),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    """A folder with files of many messages, in no order, and what should come of them."""
    sent, truth = reporting(7, MESSAGES)
    random.Random(7).shuffle(sent)
    folder = tmp_path_factory.mktemp("reported")
    size = -(-MESSAGES // PARTS)
    for part in range(PARTS):
        text = "".join(sent[part * size : (part + 1) * size])
        (folder / f"{part}.hl7").write_text(text if part else text.replace("\r", "\n"), encoding="utf-8", newline="")
    return folder, truth


@pytest.fixture(scope="module")
def at_once(reported: tuple[Path, Truth], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("at_once")
    build(folder, reported[0], {})
    return folder


STATUSES = {"I": "pending", "P": "preliminary", "F": "final", "C": "corrected", "D": "deleted"}


def test_made_up_results_are_what_was_made_up(at_once: Path, reported: tuple[Path, Truth]) -> None:
    truth = reported[1]
    rows = ask(
        at_once,
        """
        select filler_order_id, analyte_code, valid_from, result_status, value_number, correction_count, is_current,
            is_deleted, valid_to
        from healthcare.fct_lab_results order by filler_order_id, analyte_code, valid_from""",
    )
    found: dict[tuple[str, str], list[tuple[Any, ...]]] = {}
    for order_id, code, *rest in rows:
        found.setdefault((order_id, code), []).append(tuple(rest))
    assert found.keys() == truth.versions.keys()
    assert sum(map(len, truth.versions.values())) > 3_000
    assert sum(truth.corrections.values()) > 300
    for key, versions in truth.versions.items():
        told = [(moment, STATUSES[status], value) for moment, status, value in versions]
        assert [row[:3] for row in found[key]] == told, key
        assert found[key][-1][3] == truth.corrections[key], key
        assert [row[4] for row in found[key]] == [False] * (len(told) - 1) + [True], key
        assert [row[5] for row in found[key]] == [status == "D" for _, status, _ in versions], key
        assert [row[6] for row in found[key]][:-1] == [moment for moment, *_ in versions][1:], key


@pytest.mark.parametrize("seed", [1])
def test_file_by_file_in_any_order_is_as_all_at_once(
    engine: dict[str, str], seed: int, at_once: Path, reported: tuple[Path, Truth], tmp_path: Path
) -> None:
    delivered = tmp_path / "delivered"
    delivered.mkdir()
    files = sorted(reported[0].iterdir())
    for file in random.Random(seed).sample(files, len(files)):
        (delivered / file.name).write_bytes(file.read_bytes())
        build(tmp_path / "warehouse", delivered, engine, tested=False)
    assert differences(at_once, engine or tmp_path / "warehouse", least=5) == {}


def test_what_messages_may_say_of_one_analyte(engine: dict[str, str], tmp_path: Path) -> None:
    delivered = tmp_path / "delivered"
    delivered.mkdir()

    def send(name: str, hour: int, *segments: str) -> None:
        text = message(header(f"{name}{hour}", f"202403011{hour}00"), patient(), order(name), *segments)
        (delivered / f"{name}{hour}.hl7").write_text(text)

    # Line by line without a sub-id; a later message has fewer lines.
    lines = [result("LINES", text, kind="TX", place=7) for text in ("one", "two", "three")]
    send("A", 0, *lines)
    send("A", 1, lines[0], result("LINES", "two, mended", kind="TX", place=7))
    # Told apart by sub-ids; final without being told again; two messages of one time, of which the final one holds.
    send("B", 0, result("SUB", "1", "P", sub_id="1"), result("SUB", "2", "P", sub_id="2"))
    send("B", 1, result("SUB", "", "U", unit="", sub_id="1"), result("SUB", "3", "F", sub_id="2"))
    (delivered / "B2.hl7").write_text(
        message(header("B2", "202403011100"), patient(), order("B"), result("SUB", "4", "P", sub_id="2"))
    )
    # The same number of another laboratory's, of a patient to whom another facility gave the same number.
    of_another = patient(family="ROE", born="19820202").replace("^^^CENTRAL^MR", "^^^OTHER^MR")
    (delivered / "C.hl7").write_text(
        message(header("C").replace("CENTRAL", "OTHER", 1), of_another, order("B"), result("SUB", "9", sub_id="1"))
    )
    # An order without a number of the laboratory's; an observation of a message that reports nothing; a corrected one
    # of which the first was never seen, taken back as wrong.
    no_filler = order("D").replace("|D|", "||")
    (delivered / "D.hl7").write_text(message(header("D"), no_filler, result("X", "1")))
    (delivered / "E.hl7").write_text(message(header("E", kind="ORM^O01"), order("E"), result("X", "1")))
    send("G", 0, result("X", "5", "C"))
    send("G", 1, result("X", "5", "W"))
    build(tmp_path / "warehouse", delivered, engine)
    rows = ask(
        engine or tmp_path / "warehouse",
        """
        select coalesce(filler_order_id, placer_order_id) || coalesce(analyte_sub_id, ''), occurrence_number,
            strftime(valid_from, '%H'), case when is_current then '' else strftime(valid_to, '%H') end, result_status,
            value_text, correction_count, is_deleted
        from healthcare.fct_lab_results order by all""",
    )
    assert rows == [
        ("A", 1, "10", "", "final", "one", 0, False),
        ("A", 2, "10", "11", "final", "two", 0, False),
        ("A", 2, "11", "", "final", "two, mended", 1, False),
        ("A", 3, "10", "11", "final", "three", 0, False),
        ("B1", 1, "10", "11", "preliminary", "1", 0, False),
        ("B1", 1, "11", "", "final", "1", 0, False),
        ("B1", 1, "12", "", "final", "9", 0, False),
        ("B2", 1, "10", "11", "preliminary", "2", 0, False),
        ("B2", 1, "11", "", "final", "3", 0, False),
        ("G", 1, "10", "11", "corrected", "5", 1, False),
        ("G", 1, "11", "", "wrong", "5", 1, True),
        ("PD", 1, "12", "", "final", "1", 0, False),
    ]
    assert ask(
        engine or tmp_path / "warehouse",
        """
        select count(distinct patient_source_id), count(distinct patient_key),
            count(distinct medical_record_number_token)
        from healthcare.fct_lab_results
        inner join healthcare.dim_patients using (patient_key, patient_version_key)
        where filler_order_id = 'B'""",
    ) == [(2, 2, 1)]
