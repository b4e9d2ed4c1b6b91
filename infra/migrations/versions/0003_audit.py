"""What was built, published, granted and forgotten: written once, changed by no role of the warehouse."""

from alembic import op

revision, down_revision = "0003", "0002"


def upgrade() -> None:
    op.execute("create schema audit")
    op.execute("revoke all on schema audit from public")
    op.execute("""
        create table audit.events (
            event_number bigint generated always as identity primary key,
            happened_at timestamptz not null default clock_timestamp(),
            event_name text not null,
            login_name name not null default session_user,
            details jsonb not null default '{}'
        )""")
    op.execute("grant usage on schema audit to granary_transformer, granary_privacy, granary_auditor")
    op.execute("grant select on audit.events to granary_auditor")
    # Who did it and when is the server's to say.
    op.execute("grant insert (event_name, details) on audit.events to granary_transformer, granary_privacy")
    op.execute("""
        create function audit.refuse() returns trigger language plpgsql as $$
        begin
            raise exception 'audit.events is written once: % is refused', tg_op
                using errcode = 'insufficient_privilege';
        end $$""")
    op.execute("""
        create trigger written_once before update or delete or truncate on audit.events
        for each statement execute function audit.refuse()""")


def downgrade() -> None:
    op.execute("drop schema audit cascade")
