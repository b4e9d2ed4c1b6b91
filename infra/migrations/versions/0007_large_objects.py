"""Nobody but administrators makes large objects: a login that may only read could fill the disk with them.

Postgres gives everybody the functions for it. They are the server's own, so a superuser has to take them away; on a
managed server that is its administrator's.
"""

from alembic import op

revision, down_revision = "0007", "0006"

FUNCTIONS = (
    "lo_create(oid)",
    "lo_creat(integer)",
    "lo_from_bytea(oid, bytea)",
    "lo_put(oid, bigint, bytea)",
    "lowrite(integer, bytea)",
)


def upgrade() -> None:
    _as_superuser("revoke execute on function pg_catalog.{} from public")


def downgrade() -> None:
    _as_superuser("grant execute on function pg_catalog.{} to public")


def _as_superuser(statement: str) -> None:
    for function in FUNCTIONS:
        op.execute(f"""
            do $$ begin
                if (select rolsuper from pg_roles where rolname = current_user) then
                    {statement.format(function)};
                end if;
            end $$""")
