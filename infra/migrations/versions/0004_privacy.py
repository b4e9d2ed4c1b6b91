"""The crosswalk from identifiers to tokens: loads fill it, the privacy role reads it, nobody else sees it."""

from alembic import op

revision, down_revision = "0004", "0003"


def upgrade() -> None:
    # Loads into a database without roles make the same (ingestion/privacy/crosswalk.py): what is there stays.
    op.execute("create schema if not exists privacy")
    op.execute("revoke all on schema privacy from public")
    op.execute("""
        create table if not exists privacy.identifiers (
            token text primary key,
            kind text not null,
            value text not null,
            first_seen_at timestamp not null default (now() at time zone 'utc')
        )""")
    op.execute("create unique index if not exists identifiers_value on privacy.identifiers (kind, md5(value))")
    # Nobody's: what it may do is what pgaudit writes down, whoever does it.
    op.execute("""
        do $$ begin
            create role granary_audited nologin;
        exception when duplicate_object then null;
        end $$""")
    op.execute("grant select, insert, update, delete on privacy.identifiers to granary_audited")
    op.execute("grant usage on schema privacy to granary_loader, granary_privacy")
    op.execute("grant select, insert, delete on privacy.identifiers to granary_loader")
    op.execute("grant select on privacy.identifiers to granary_privacy")


def downgrade() -> None:
    op.execute("""
        do $$ begin
            if exists (select from privacy.identifiers) then
                raise exception 'privacy.identifiers holds what raw''s tokens stand for: going back would lose it';
            end if;
        end $$""")
    op.execute("drop schema privacy cascade")
    op.execute("""
        do $$ begin
            drop role granary_audited;
        exception when dependent_objects_still_exist then null;
        end $$""")
