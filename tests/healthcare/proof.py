"""What `make prove DOMAIN=healthcare` proves of this domain: the promises in its clinic, and the shared records."""

from tests.healthcare.records import prove_records as prove
from tests.healthcare.world import Clinic as World
from tests.prove.mutations import Mutation, tests

__all__ = ["MUTATIONS", "World", "prove"]

MUTATIONS = (
    Mutation(
        "a year of birth that tells of an age over 89", "models/marts/healthcare/safe/dim_released_patients.sql",
        "case when patients.age between 0 and 89 then", "case when patients.age between 0 and 120 then",
        tests("tests/healthcare/marts/test_safe_harbor.py", "-k", "duckdb"),
    ),
    Mutation(
        "a consent that has ended goes on", "models/intermediate/healthcare/int_consents__decisions.sql",
        "when consents.status = 'inactive' then ends.ended_at",
        "when consents.status = 'inactive' then cast(null as timestamp)",
        tests("tests/healthcare/marts/test_withdrawal.py", "-k", "duckdb"),
    ),
)  # fmt: skip
