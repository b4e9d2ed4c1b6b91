"""Which of dbt's statements are written down to be sent again."""

from __future__ import annotations

import pytest
from dbt.adapters.events.types import SQLQuery

from warehouse.build.compiled import recorded
from warehouse.events import Events

ABOUT = '/* {"app": "dbt", "node_id": "model.granary.sales"} */\n'


def sent(*statements: str, unique_id: str = "model.granary.sales") -> list[str] | None:
    """What is kept of what dbt sends for a relation; None where nothing is."""
    events = Events()
    with recorded({"model.granary.sales"}) as found:
        for statement in statements:
            events.fire_event(SQLQuery(conn_name="sales", sql=ABOUT + statement, node_info={"unique_id": unique_id}))
    return found.get("model.granary.sales")


def test_statements_are_kept_in_their_order_and_without_dbt_s_comment() -> None:
    insert = "insert into sales\nwith new as (select 1) select * from new"
    assert sent("begin", "delete from sales", insert, "commit") == ["begin", "delete from sales", insert, "commit"]


@pytest.mark.parametrize(
    "question",
    [
        "select column_name from information_schema.columns",
        "select * from (select 1 as id) as __dbt_sbq where false limit 0",
        "-- which\ndescribe sales",
        "/* ledger */ select count(*) from granary.code",
        "SELECT version()",
        "select nspname from pg_namespace",
    ],
)
def test_questions_that_ask_nothing_of_the_data_are_left_out(question: str) -> None:
    assert sent(question, "delete from sales") == ["delete from sales"]


@pytest.mark.parametrize("question", ["select min(day) from touched", "  with a as (select 1) select * from a"])
def test_a_relation_for_which_the_data_was_asked_is_not_kept(question: str) -> None:
    """What a macro made of the answer would be sent again as it is, whatever the next batch brings."""
    assert sent("delete from sales", question, "insert into sales values (1)") is None


def test_what_is_sent_for_others_is_not_kept() -> None:
    assert sent("delete from sales", unique_id="") is None
    assert sent("delete from sales", unique_id="test.granary.sales") is None
