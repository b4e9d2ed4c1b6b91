"""A drill: forget somebody, restore to before that, and see that they are forgotten again and the money is the same.

It works in a database of its own on the cluster, with a few days of the simulated company, and leaves nothing behind.
"""

from __future__ import annotations

import time

from infra.cluster import Cluster, primary_of, run_sql
from infra.drills import backup, restored
from infra.records import Say, noted
from infra.scratch import DATABASE, company, scratch
from ingestion.contract.reading import read_contract
from ingestion.domains import domains
from ingestion.privacy.identifiers import person_column
from warehouse.errors import BuildError
from warehouse.runs.runs import Run

# One row for each of these columns: where it is, and its name.
_COLUMNS = """
    select quote_ident(c.table_schema) || '.' || quote_ident(c.table_name) || ' ' || quote_ident(c.column_name)
    from information_schema.columns as c join information_schema.tables as t using (table_schema, table_name)
    where t.table_type = 'BASE TABLE' and {condition} order by 1"""


def erasure_drill(cluster: Cluster, say: Say) -> float:
    """Forget a person, restore to the time before, forget again.

    Returns:
        How many seconds passed between the restored server's start and the person being gone from it.

    Raises:
        BuildError: something of the person is left, or the money isn't what it was.
    """
    primary, run, domain = primary_of(cluster), Run("erasure drill", "prod"), company()
    with scratch(cluster) as own:
        words = ["--domain", domain, "--folder", str(own.folder / "company")]
        own.run("ingestion.demo", "simulate", *words, "--days", "5", "--scale", "0.1")
        with own.during("ingestion.demo", "serve", *words) as (systems, _):
            own.settings |= {**systems, "DBT_EXCLUDE_RESOURCE_TYPES": "test unit_test"}
            say("building a few days of the simulated company")
            own.run("warehouse", "build", DOMAINS=domain)
        person, token, address = _somebody(cluster, primary, domain)
        money = _money(cluster, primary, domain)
        backup(cluster, "incr", say)
        before = run_sql(cluster, primary, "select clock_timestamp()")
        time.sleep(1)
        own.run("warehouse", "forget", person, DOMAINS=domain)
        _expect_gone(cluster, primary, token, address)
        _expect_money(cluster, primary, domain, money)
        say("forgotten on the running server; the money is what it was")
        with restored(cluster, before, say) as (port, _):
            if run_sql(cluster, port, _known(address), DATABASE) != "1":
                raise BuildError(
                    "the restored server should know who was forgotten since, and doesn't: it proves nothing"
                )
            started = time.monotonic()
            own.run("warehouse", "forget", PGPORT=str(port), DOMAINS=domain)
            seconds = time.monotonic() - started
            _expect_gone(cluster, port, token, address)
            _expect_money(cluster, port, domain, money)
    say(f"forgotten again on the restored server after {seconds:.0f} s; the money is what it was")
    noted(cluster, primary, run, {"forgetting again": seconds}, {}, say)
    return seconds


def _somebody(cluster: Cluster, node: str, domain: str) -> tuple[str, str, str]:
    """A person of the company, as `source:id`, with the token that stands for their address, and the address.

    Raises:
        BuildError: nobody of the company has an address.
    """
    [sources] = [each.sources for each in domains() if each.name == domain]
    for table in [table for source in sources for table in read_contract(source).tables]:
        column, addresses = person_column(table), [each.name for each in table.identifiers if each.format]
        if column and addresses:
            found = run_sql(
                cluster, node,
                f"select r.{column} || ' ' || i.token || ' ' || i.value from raw_{table.source}.{table.name} as r "
                f"join privacy.identifiers as i on i.token = r.{addresses[0]} order by 1 limit 1", DATABASE,
            )  # fmt: skip
            if found:
                person, token, address = found.split(" ", 2)
                return f"{table.source}:{person}", token, address
    raise BuildError(f"nobody of {domain}'s simulated company has an address: there is nobody to forget")


def _known(address: str) -> str:
    return "select count(*) from privacy.identifiers where value = '" + address.replace("'", "''") + "'"


def _columns(cluster: Cluster, node: str | int, condition: str) -> list[tuple[str, str]]:
    rows = run_sql(cluster, node, _COLUMNS.format(condition=condition), DATABASE).splitlines()
    return [(table, column) for table, _, column in (row.partition(" ") for row in rows)]


def _expect_gone(cluster: Cluster, node: str | int, token: str, address: str) -> None:
    """Neither the address nor its token stands in any table, of either generation or of raw."""
    texts = _columns(cluster, node, "data_type in ('text', 'character varying', 'json', 'jsonb')")
    places = [f"select count(*) as n from {table} where strpos({column}::text, '{token}') > 0"
              for table, column in texts]  # fmt: skip
    left = run_sql(
        cluster, node, f"select ({_known(address)}) + sum(n) from ({' union all '.join(places)}) as t", DATABASE
    )
    if left != "0":
        raise BuildError(f"{left} places still know who was forgotten")


def _money(cluster: Cluster, node: str | int, domain: str) -> str:
    """What the amounts of the domain's facts come to, a line for each."""
    amounts = _columns(
        cluster,
        node,
        f"c.table_schema = '{domain}' and c.table_name like 'fct\\_%' and c.column_name like '%\\_amount%'",
    )
    sums = [f"select '{table}.{column} ' || coalesce(sum({column}), 0) from {table}" for table, column in amounts]
    return run_sql(cluster, node, " union all ".join([*sums, "select null where false"]), DATABASE)


def _expect_money(cluster: Cluster, node: str | int, domain: str, money: str) -> None:
    if (now := _money(cluster, node, domain)) != money:
        wrong = [line for line in now.splitlines() if line not in money.splitlines()]
        raise BuildError(f"forgetting somebody changed the money: {', '.join(wrong)}; it was {money}")
