"""Splink, with a model that is kept in git: which records of people are one person's, and how probably.

A model is trained once, by `make match TRAIN=1`, and never by a build: what training finds depends on which records
there are. What a trained model says of two records depends on what they say and on nothing else: its conditions are
symmetric, it knows no frequencies of terms, and probabilities are rounded.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from ingestion.sql import quoted
from warehouse.errors import BuildError

# Digits of weights in the model's file, and of the probabilities that it gives.
WEIGHT_DIGITS, PROBABILITY_DIGITS = 4, 8
# What Splink writes into settings that is its own business, or differs each time.
_NOT_OURS = ("linker_uid", "em_convergence", "max_iterations")


@dataclass(frozen=True)
class Model:
    """A model's file: see ingestion/readers/matches/README.md.

    checksum: of the file; what the log of matches says of a match.
    """

    prepare: dict[str, str]
    splink: dict[str, Any]
    threshold: float
    contradiction: str
    nameless: str
    training: dict[str, Any]
    checksum: str


@dataclass(frozen=True)
class Linked:
    """What a model says of records.

    pairs: the probabilities of pairs that match, by the records' names, the lesser one first.
    contradicting: the same of pairs that would, and contradict themselves or another.
    """

    pairs: dict[tuple[str, str], str]
    contradicting: dict[tuple[str, str], str]


def read_model(file: Path) -> Model:
    """The model of a file.

    Raises:
        BuildError: there is no such file, or it isn't a model.
    """
    try:
        text = file.read_text(encoding="utf-8")
        return Model(**json.loads(text), checksum=hashlib.sha256(text.encode()).hexdigest()[:16])
    except (OSError, ValueError, TypeError) as error:
        raise BuildError(f"{file} is no model of matches: {error}; see ingestion/readers/matches/README.md") from error


def prepare(connection: duckdb.DuckDBPyConnection, model: Model) -> None:
    """Make the table `prepared` of what the model compares, of the table `people`, in which `record` names each."""
    columns = ", ".join(f"{expression} as {quoted(name)}" for name, expression in sorted(model.prepare.items()))
    connection.execute(f"create or replace table prepared as select record, {columns} from people")


def linked(connection: duckdb.DuckDBPyConnection, model: Model) -> Linked:
    """Which of the records in `prepared` are one person's.

    Raises:
        BuildError: Splink is not installed, or the model's settings are none of its.
    """
    predicted = _linker(connection, model).inference.predict(
        threshold_match_probability=model.threshold, warning_mode="never"
    )
    connection.execute(f"""
        create or replace table likely as
        select least(record_l, record_r) as one, greatest(record_l, record_r) as other,
            round(match_probability, {PROBABILITY_DIGITS}) as probability
        from {predicted.physical_name}""")
    # What names neither of two who contradict each other may be either: it is matched with none of them.
    connection.execute(f"""
        create or replace table contradicting as
        with ends as (select one as x, other as y from likely union all select other, one from likely),
        unclear as (
            select distinct x.record as x, l.record as l, r.record as r
            from prepared as x
            inner join ends as lefts on lefts.x = x.record
            inner join ends as rights on rights.x = x.record and lefts.y < rights.y
            inner join prepared as l on l.record = lefts.y
            inner join prepared as r on r.record = rights.y
            where ({model.nameless}) and ({model.contradiction})
        )
        select one, other from likely
        inner join prepared as l on l.record = one
        inner join prepared as r on r.record = other
        where {model.contradiction}
        union select least(x, l), greatest(x, l) from unclear
        union select least(x, r), greatest(x, r) from unclear""")
    rows = connection.execute(f"""
        select one, other, printf('%.{PROBABILITY_DIGITS}f', probability), contradicting.one is not null
        from likely left join contradicting using (one, other) order by all""").fetchall()
    return Linked(
        {(str(one), str(other)): str(probability) for one, other, probability, wrong in rows if not wrong},
        {(str(one), str(other)): str(probability) for one, other, probability, wrong in rows if wrong},
    )


def trained(connection: duckdb.DuckDBPyConnection, model: Model) -> str:
    """The text of a model like this one, with weights that Splink finds in the records in `prepared`.

    Raises:
        BuildError: Splink is not installed, or the records are too few or too much alike to learn from.
    """
    from splink.internals.exceptions import SplinkException

    linker, how = _linker(connection, model), model.training
    try:
        linker.training.estimate_u_using_random_sampling(max_pairs=how["pairs"], seed=1)
        linker.training.estimate_probability_two_random_records_match(how["sure"], recall=how["recall"])
        for rule in how["rules"]:
            linker.training.estimate_parameters_using_expectation_maximisation(rule)
    except (SplinkException, ValueError, ZeroDivisionError, duckdb.Error) as error:
        raise BuildError(f"no model could be trained of these records: {str(error).strip().splitlines()[0]}") from error
    found = linker.misc.save_model_to_json()
    settings = {name: _rounded(value) for name, value in found.items() if name not in _NOT_OURS}
    whole = {**vars(model), "splink": settings}
    del whole["checksum"]
    return json.dumps(whole, indent=2) + "\n"


def _linker(connection: duckdb.DuckDBPyConnection, model: Model) -> Any:
    try:
        from splink import DuckDBAPI, Linker
    except ImportError as error:
        raise BuildError("matching needs Splink, which isn't installed: make setup-match") from error
    logging.getLogger("splink").setLevel(logging.ERROR)
    api = DuckDBAPI(connection)
    try:
        return Linker(api.register("prepared"), {**model.splink, "linker_uid": "granary"}, log_level=None)
    except Exception as error:  # Splink raises many kinds of errors of its own, and plain ones
        raise BuildError(f"Splink refuses the model: {str(error).strip().splitlines()[0]}") from error


def _rounded(value: Any) -> Any:
    """Weights with so many significant digits that nothing of a run is left in them."""
    if isinstance(value, float):
        return float(f"{value:.{WEIGHT_DIGITS}g}")
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list) else value
