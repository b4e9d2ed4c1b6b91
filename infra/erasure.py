"""A drill: forget somebody, restore to before that, and see that they are forgotten again and the money is the same.

It works in a database of its own on the cluster, with a few days of the simulated company, and leaves nothing behind.
"""

from __future__ import annotations

import time

from infra.cluster import Cluster, primary_of, run_sql
from infra.drills import backup, restored
from infra.records import Say, noted
from infra.scratch import DATABASE, scratch
from warehouse.errors import BuildError
from warehouse.runs.runs import Run

_MONEY = "select coalesce(sum(net_amount), 0) from commerce.fct_sales"


def erasure_drill(cluster: Cluster, say: Say) -> float:
    """Forget a person, restore to the time before, forget again.

    Returns:
        How many seconds passed between the restored server's start and the person being gone from it.

    Raises:
        BuildError: something of the person is left, or the money isn't what it was.
    """
    primary, run = primary_of(cluster), Run("erasure drill", "prod")
    with scratch(cluster) as own:
        own.settings |= {
            "SOURCES__SHOP__CREDENTIALS": f"sqlite:///{own.folder}/company/shop.sqlite",
            "DBT_EXCLUDE_RESOURCE_TYPES": "test unit_test",
        }
        own.run("ingestion.demo", "simulate", "--folder", str(own.folder / "company"), "--days", "5", "--scale", "0.1")
        say("building a few days of the simulated company")
        own.run("warehouse", "build")
        stands_for = (
            "select u.id || ' ' || i.value from raw_shop.users as u join privacy.identifiers as i on i.token = u.email "
            "order by u.id limit 1"
        )
        person, address = run_sql(cluster, primary, stands_for, DATABASE).split(" ", 1)
        money = run_sql(cluster, primary, _MONEY, DATABASE)
        backup(cluster, "incr", say)
        before = run_sql(cluster, primary, "select clock_timestamp()")
        time.sleep(1)
        own.run("warehouse", "forget", f"shop:{person}")
        _expect_gone(cluster, primary, person, address, money)
        say("forgotten on the running server; the money is what it was")
        with restored(cluster, before, say) as (port, _):
            if run_sql(cluster, port, _known(address), DATABASE) != "1":
                raise BuildError(
                    "the restored server should know who was forgotten since, and doesn't: it proves nothing"
                )
            started = time.monotonic()
            own.run("warehouse", "forget", PGPORT=str(port))
            seconds = time.monotonic() - started
            _expect_gone(cluster, port, person, address, money)
    say(f"forgotten again on the restored server after {seconds:.0f} s; the money is what it was")
    noted(cluster, primary, run, {"forgetting again": seconds}, {}, say)
    return seconds


def _known(address: str) -> str:
    return "select count(*) from privacy.identifiers where value = '" + address.replace("'", "''") + "'"


def _expect_gone(cluster: Cluster, node: str | int, person: str, address: str, money: str) -> None:
    marts = " union all ".join(
        f"select email_token from {schema}.dim_customers where customer_id = '{person}'"
        for schema in ("commerce", "commerce__next")
    )
    raw = f"select email from raw_shop.users where id = '{person}'"
    tokens = f"select count(*) from ({marts} union all {raw}) as t where email_token not like 'forgotten%'"
    left = run_sql(cluster, node, f"select ({_known(address)}) + ({tokens})", DATABASE)
    if left != "0":
        raise BuildError(f"{left} places still know who was forgotten")
    if (now := run_sql(cluster, node, _MONEY, DATABASE)) != money:
        raise BuildError(f"sales were {money} and are {now}: forgetting somebody changed the money")
