"""Keys drawn at random: for each person whom the warehouse knows one a release, of which nothing of theirs can be told.

A key made of an identifier, by whatever hash, lets whoever knows the identifier find the person. A drawn one tells
nothing, and the table that says whose it is stays with the builder. Another release has other keys, so that what two
of them tell can't be put together.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

from ingestion.contract.contracts import ContractError, contract_file
from ingestion.load.extracts import Extract, Loaded, Reader, SourceError, timestamp_literal
from ingestion.readers.settings import setting, variable
from ingestion.sql import literal, quoted

# It reads what other sources have loaded, and is none that somebody configures.
BESIDE = True


def is_configured(source: str) -> bool:
    """Always: what it reads is the warehouse's own."""
    return True


def extracts(reader: Reader) -> Generator[Extract, Loaded, None]:
    """The keys of the present release for persons who have none yet; of a new one for all, where that begins.

    Settings of the source: `begin`, whether a release begins; `keys`, a CSV file with the columns source_id, person_id
    and release_key that takes the place of the draw, so that warehouses can be compared.

    Raises:
        ContractError: the contract doesn't say of whom, or names what is no table.
        SourceError: the file of keys lacks somebody.
    """
    connection, contract = reader.connection, reader.contract
    table = contract.table("keys")
    known = reader.complete(table.name)
    row = connection.execute(f"select max(release_number), max(began_at) from {known}").fetchone()
    number, began_at = row or (None, None)
    if setting(contract.name, "begin"):
        number, began_at = (number or 0) + 1, reader.observed_at.replace(tzinfo=None)
    if number is None:
        yield Extract(table, f"(select * from {known} where false)", 0)
        return
    connection.execute(f"""
        create or replace temp table persons as
        select source_id, person_id from ({_persons(reader)})
        except
        select source_id, person_id from {known} where release_number = {number}""")
    draw, keys = "cast(uuid() as varchar)", setting(contract.name, "keys")
    if keys:
        _require_keys(reader, Path(str(keys)))
        draw = f"""(
            select given.release_key from read_csv({literal(str(keys))}, all_varchar = true) as given
            where given.source_id = persons.source_id and given.person_id = persons.person_id
                and given.release_key is not null)"""
    # Drawn once, however often the rows are read.
    connection.execute(f"""
        create or replace temp table drawn as
        select {number}::bigint as release_number, {timestamp_literal(began_at)} as began_at, source_id, person_id,
            {draw} as release_key
        from persons""")
    ((count,),) = connection.execute("select count(*) from drawn").fetchall()
    yield Extract(
        table,
        f"""(
            select *, 'U' as _operation, release_number as _revision,
                {timestamp_literal(reader.observed_at)} as _effective_at
            from drawn)""",
        count,
    )


def _persons(reader: Reader) -> str:
    """A select of the persons whom `config.meta.draws` names, as source.table.column."""
    contract = reader.contract
    named = contract.table("keys").meta.get("draws") or []
    selects = ["select null::varchar as source_id, null::varchar as person_id where false"]
    for each in named:
        source, _, place = str(each).partition(".")
        table, _, column = place.partition(".")
        if not column:
            raise ContractError(
                f"{contract_file(contract.name)}: config.meta.draws names {each}: say source.table.column"
            )
        raw = reader.raw_of(source, table)
        if raw:
            person = f"cast({quoted(column)} as varchar)"
            selects.append(f"select distinct {literal(source)}, {person} from {raw} where {quoted(column)} is not null")
    return " union all ".join(selects)


def _require_keys(reader: Reader, file: Path) -> None:
    if not file.is_file():
        raise SourceError(f"{reader.contract.name}: there is no file {file}, which {_where(reader)} names")
    given = f"(select * from read_csv({literal(str(file))}, all_varchar = true) where release_key is not null)"
    lacking, example = _counted(
        reader, f"select source_id, person_id from persons except select source_id, person_id from {given}"
    )
    if lacking:
        raise SourceError(
            f"{reader.contract.name}: {file} has no key of {lacking:,} persons, such as {example}; nothing was drawn: "
            f"add them, or unset {_where(reader)}"
        )
    # One person has one key, and a key is of one person, or two would be released as one.
    for columns in ("source_id, person_id", "release_key"):
        twice, example = _counted(
            reader,
            f"select min(source_id) as source_id, min(person_id) as person_id from {given} "
            f"group by {columns} having count(*) > 1",
        )
        if twice:
            raise SourceError(
                f"{reader.contract.name}: {file} has {columns} twice {twice:,} times, such as of {example}; nothing "
                f"was drawn: give each person a key of its own, once, or unset {_where(reader)}"
            )


def _counted(reader: Reader, persons: str) -> tuple[int, str]:
    """How many persons a select has, and one of them."""
    asked = f"select count(*), min(source_id || ':' || person_id) from ({persons})"
    count, example = reader.connection.execute(asked).fetchone() or (0, "")
    return count, example


def _where(reader: Reader) -> str:
    return variable(reader.contract.name, "keys")
