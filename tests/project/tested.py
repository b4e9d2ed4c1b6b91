"""What must be tested, read off the files alone: keys, histories, and unit tests that find nothing built.

Each rule is a function of the project's root that returns its violations, one line each, as in `layering`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tests.project.files import code_of, entries, files_in, named

# Why a key of care may point at nothing.
_NAMED = "what a record names, known or not: a singular test says which isn't"

# Keys in facts that point at no published dimension, as `<model>.<column>`, and why.
KEYS_WITHOUT_TARGET: dict[str, str] = {
    "fct_sales.sales_document_key": "an order, which is in fct_orders, or an invoice, which is in fct_sales alone",
    "agg_sales__documents.sales_document_key": "as in fct_sales, from which it comes",
    "fct_lab_results.lab_order_key": "a laboratory's order, which is in fct_lab_results alone",
    "fct_lab_results.lab_result_key": "a result, the versions of which are the fact's rows",
    "fct_conditions.encounter_key": _NAMED,
    "fct_procedures.encounter_key": _NAMED,
    "fct_procedures.reason_condition_key": _NAMED,
    "fct_medication_requests.encounter_key": _NAMED,
    "fct_medication_requests.reason_condition_key": _NAMED,
    "fct_immunizations.encounter_key": _NAMED,
    "fct_encounters.part_of_encounter_key": _NAMED,
    "fct_observations.encounter_key": _NAMED,
    "fct_observations.device_key": _NAMED,
    "fct_observations.observation_key": "an observation, the parts of which are the fact's rows",
    "fct_consents.consent_key": "a consent, the intervals of which are the fact's rows",
}

# Intervals on which history_is_sound is not asked, by model, and why.
INTERVALS_TESTED_OTHERWISE: dict[str, str] = {
    "fct_consents": "it begins with a person's first decision: before that, nobody has said anything",
    "int_consents__intervals": "a view whose every row fct_consents shows: it is tested there",
    "int_shop_customers__versions": "a view whose every row dim_customers shows: it is tested there",
    "int_shop_products__versions": "a view whose every row dim_products shows: it is tested there",
    "fct_lab_results": "a result begins with its first message, and may end: a singular test says how they follow",
    "int_persons__pairs": "when a match or a decision held, and no time besides: whose a record was is tested there",
    "int_patients__versions": "a view whose every row dim_patients shows: it is tested there",
    "int_practitioners__versions": "a view whose every row dim_practitioners shows: it is tested there",
    "int_devices__versions": "a view whose every row dim_devices shows: it is tested there",
    "int_exchange_rates__intervals": "days on which a rate holds, equal ones side by side: a unit test says which",
}


def _tests(entry: dict[str, Any]) -> set[str]:
    """The names of a model's or a column's data tests."""
    return {test if isinstance(test, str) else next(iter(test)) for test in entry.get("data_tests") or []}


def untested_foreign_keys(root: Path) -> list[str]:
    """Every foreign key of a fact or an aggregate has a `relationships` test; its own key has `unique` instead."""
    found = []
    for path in files_in(root, "models/marts", ".yml", ".yaml"):
        for model in entries(path, "models"):
            name = str(model.get("name"))
            if not name.startswith(("fct_", "agg_")):
                continue
            for column in model.get("columns") or []:
                key = str(column.get("name"))
                if not key.endswith("_key") or f"{name}.{key}" in KEYS_WITHOUT_TARGET:
                    continue
                if not _tests(column) & {"relationships", "unique"}:
                    found.append(f"{named(root, path)}: {name}.{key} has no relationships test")
    return found


def untested_histories(root: Path) -> list[str]:
    """Every snapshot, and every model that has both ends of an interval, has a `history_is_sound` test."""
    histories = {path.stem: path for path in files_in(root, "snapshots", ".sql")}
    tested = set(INTERVALS_TESTED_OTHERWISE)
    for kind in ("snapshots", "models"):
        for path in files_in(root, kind, ".yml", ".yaml"):
            for entry in entries(path, kind):
                columns = {str(column.get("name")) for column in entry.get("columns") or []}
                if kind == "snapshots" or columns >= {"valid_from", "valid_to"}:
                    histories[str(entry.get("name"))] = path
                if "history_is_sound" in _tests(entry):
                    tested.add(str(entry.get("name")))
    return [
        f"{named(root, path)}: {name} has a history and no history_is_sound test"
        for name, path in sorted(histories.items())
        if name not in tested
    ]


def untested_version_keys(root: Path) -> list[str]:
    """Every version key of a fact or an aggregate has a `version_holds_at` test; a dimension's own has `unique`."""
    found = []
    for path in files_in(root, "models/marts", ".yml", ".yaml"):
        for model in entries(path, "models"):
            tests = [test for test in model.get("data_tests") or [] if isinstance(test, dict)]
            tested = {
                (test["version_holds_at"].get("arguments") or {}).get("version_key")
                for test in tests
                if "version_holds_at" in test
            }
            for column in model.get("columns") or []:
                key, name = str(column.get("name")), str(model.get("name"))
                if key.endswith("_version_key") and not name.startswith("dim_") and key not in tested:
                    found.append(f"{named(root, path)}: {name}.{key} has no version_holds_at test")
    return found


def unit_tests_that_need_a_built_model(root: Path) -> list[str]:
    """A unit test of an incremental model overrides `is_incremental`: in a new generation nothing is built yet, and a
    unit test that can't run holds up all that comes after it."""
    models = files_in(root, "models", ".sql")
    incremental = {path.stem for path in models if re.search(r"materialized='incremental'", code_of(path))}
    return [
        f"{named(root, path)}: unit test {test.get('name')} of {test.get('model')} doesn't override is_incremental"
        for path in files_in(root, "models", ".yml", ".yaml")
        for test in entries(path, "unit_tests")
        if test.get("model") in incremental
        and "is_incremental" not in ((test.get("overrides") or {}).get("macros") or {})
    ]


RULES = (untested_foreign_keys, untested_histories, untested_version_keys, unit_tests_that_need_a_built_model)
