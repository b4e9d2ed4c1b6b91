"""The crosswalk's values, encrypted where there is a key: a keyed hash beside each, by which it is found."""

from alembic import op

revision, down_revision = "0010", "0009"


def upgrade() -> None:
    # Loads into a database without roles make the same (ingestion/privacy/postgres.py).
    op.execute("alter table privacy.identifiers add column if not exists value_hash bytea")
    op.execute("create unique index if not exists identifiers_hash on privacy.identifiers (kind, value_hash)")


def downgrade() -> None:
    op.execute("""
        do $$ begin
            if exists (select from privacy.identifiers where value_hash is not null) then
                raise exception 'privacy.identifiers is encrypted, and could not be looked up in any more: first '
                    '`make rotate KEY=files` with PRIVACY__FILES_KEY unset and PRIVACY__FILES_KEY_BEFORE its key';
            end if;
        end $$""")
    op.execute("alter table privacy.identifiers drop column value_hash")
