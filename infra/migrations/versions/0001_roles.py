"""Roles that own and read, and nothing for everybody else.

Roles are the server's, rights the database's: a role that another warehouse on the server has made already is taken as
it is, and one that another still uses outlives a downgrade.
"""

from alembic import op

revision, down_revision = "0001", None

# What each may do is in docs/access.md.
ROLES = (
    "granary_loader",
    "granary_transformer",
    "granary_reporter",
    "granary_tenant",
    "granary_privacy",
    "granary_auditor",
    "granary_monitor",
)
WRITERS = "granary_loader, granary_transformer"


def upgrade() -> None:
    for role in ROLES:
        op.execute(f"""
            do $$ begin
                create role {role} nologin;
            exception when duplicate_object then null;
            end $$""")
    op.execute(f"""
        do $$ begin
            execute format('revoke all on database %I from public', current_database());
            execute format('grant connect on database %I to {", ".join(ROLES)}', current_database());
            execute format('grant create, temporary on database %I to {WRITERS}', current_database());
        end $$""")
    op.execute("revoke all on schema public from public")
    # dbt's own default schema, in which it makes nothing of ours.
    op.execute("grant usage on schema public to granary_transformer")
    op.execute("alter default privileges for role granary_loader grant usage on schemas to granary_transformer")
    op.execute("alter default privileges for role granary_loader grant select on tables to granary_transformer")
    for role in WRITERS.split(", "):
        op.execute(f"alter default privileges for role {role} revoke execute on functions from public")
    op.execute("grant pg_monitor to granary_monitor")


def downgrade() -> None:
    for role in WRITERS.split(", "):
        op.execute(f"alter default privileges for role {role} grant execute on functions to public")
    op.execute("alter default privileges for role granary_loader revoke select on tables from granary_transformer")
    op.execute("alter default privileges for role granary_loader revoke usage on schemas from granary_transformer")
    op.execute("revoke usage on schema public from granary_transformer")
    op.execute("grant usage on schema public to public")
    op.execute(f"""
        do $$ begin
            execute format('revoke all on database %I from {", ".join(ROLES)}', current_database());
            execute format('grant connect, temporary on database %I to public', current_database());
        end $$""")
    for role in ROLES:
        op.execute(f"""
            do $$ begin
                drop role {role};
            exception when dependent_objects_still_exist then null;
            end $$""")
