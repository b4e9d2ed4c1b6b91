"""What `make prove DOMAIN=commerce` proves of this domain: the promises in its company, and the real trading days."""

from tests.commerce.days import prove_days as prove
from tests.commerce.world import Company as World
from tests.prove.mutations import Mutation, tests

__all__ = ["MUTATIONS", "World", "prove"]

MUTATIONS = (
    Mutation(
        "a swapped comparison in an interval",
        "models/intermediate/commerce/int_shop_customers__versions.sql",
        "and instants.valid_from < users.valid_to", "and instants.valid_from <= users.valid_to",
        tests("tests/commerce/warehouse/test_history_builds.py", "-k", "duckdb"),
    ),
    Mutation(
        "vanished lines of a file stay", "ingestion/readers/files/reader.py",
        "    return replace(extract, deletes=deletes(reader, layout, f\"(from {completed}{this})\"))\n",
        "    return extract\n",
        tests("tests/commerce/ingestion/test_retail.py"),
    ),
)  # fmt: skip
