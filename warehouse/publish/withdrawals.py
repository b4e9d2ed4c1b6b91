"""Who must not come back: a rollback never shows persons again who are allowed no more since.

A published model may say that its rows are of persons who can withdraw: `config.meta.withdrawable` with `allowed_by`,
a relation of the builder's own that lists who is allowed now, `key`, its column, and `column`, the model's own. A build
makes that relation anew from what raw says last, and a model from it; but the generation before was built of what raw
said then.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import Any

from ingestion.destination.target import Target
from warehouse.database import NEXT, Database
from warehouse.errors import BuildError

COLUMNS = (
    "schema_name varchar, model varchar, column_name varchar, allowed_schema varchar, allowed varchar, key varchar"
)
# The member that stands for nobody.
_NOBODY = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Withdrawable:
    """A published model of persons who can withdraw, its column of them, and where it says who is allowed now."""

    schema: str
    model: str
    column: str
    allowed_schema: str
    allowed: str
    key: str


def declared_withdrawable(manifest: Any, target: Target) -> list[Withdrawable]:
    """What the models of a project say.

    Raises:
        BuildError: one names a relation or a column that isn't there.
    """
    models = {node.name: node for node in manifest.nodes.values() if node.resource_type == "model"}
    found = []
    for node in models.values():
        said = (node.config.meta or {}).get("withdrawable")
        if not said:
            continue
        allowed = models.get(said.get("allowed_by", ""))
        if allowed is None or said.get("column") not in node.columns or not said.get("key"):
            raise BuildError(
                f"{node.name} doesn't say who may withdraw from it: config.meta.withdrawable has `column`, one of its "
                "columns, `allowed_by`, a model that lists who is allowed now, and `key`, the column of that"
            )
        schemas = [str(each.schema).removeprefix(target.prefix).removesuffix(NEXT) for each in (node, allowed)]
        found.append(Withdrawable(schemas[0], node.name, said["column"], schemas[1], allowed.name, said["key"]))
    return found


def note_withdrawable(database: Database, withdrawable: Iterable[Withdrawable]) -> None:
    """Write down what is said, for a rollback does without the project, which may be what is broken."""
    table, said = database.granary("withdrawable"), sorted(map(astuple, withdrawable))
    database.run(f"create table if not exists {table} ({COLUMNS})")
    if sorted(database.run(f"select * from {table}")) == said:
        return
    # Both or nothing: of an empty list, a rollback would show everybody.
    database.run("begin")
    try:
        database.run(f"delete from {table}")
        for each in said:
            database.run(f"insert into {table} values (%s, %s, %s, %s, %s, %s)", list(each))
        database.run("commit")
    except Exception:
        database.run("rollback")
        raise


def refuse_withdrawn(database: Database) -> None:
    """See that the generation that would come shows nobody who is allowed no more.

    Raises:
        BuildError: it does; nothing was exchanged.
    """
    table = database.granary("withdrawable")
    if not database.exists(table):
        return
    for row in database.run(f"select * from {table} order by model"):
        each = Withdrawable(*map(str, row))
        there, allowed = database.next(each.schema, each.model), database.built(each.allowed_schema, each.allowed)
        if not database.exists(there):
            continue
        listed = (
            f"select cast({each.key} as varchar) from {allowed}" if database.exists(allowed) else "select '' as key"
        )
        ((number,),) = database.run(f"""
            select count(*) from (
                select cast({each.column} as varchar) as key from {there} where {each.column} is not null
                except
                {listed}
            ) as withdrawn
            where key <> '{_NOBODY}'""")
        if number:
            raise BuildError(
                f"the generation before can't be published again: {each.schema}.{each.model} has {number:,} persons in "
                "it who may not be shown any more, or not under these keys, since they withdrew, were forgotten, or a "
                "release began. Readers keep what they have; mend what is wrong and `make build`"
            )
