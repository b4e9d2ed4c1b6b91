"""Readers of what is kept from other readers: clinicians, who see patients, and researchers, who see nobody."""

from alembic import op

revision, down_revision = "0009", "0008"

ROLES = ("granary_clinician", "granary_researcher")


def upgrade() -> None:
    for role in ROLES:
        op.execute(f"""
            do $$ begin
                create role {role} nologin;
            exception when duplicate_object then null;
            end $$""")
    op.execute(f"""
        do $$ begin
            execute format('grant connect on database %I to {", ".join(ROLES)}', current_database());
        end $$""")


def downgrade() -> None:
    # What they may read of the published marts goes with them: a build gives it anew once they are back.
    for role in ROLES:
        op.execute(f"drop owned by {role}")
        op.execute(f"""
            do $$ begin
                execute format('revoke connect on database %I from {role}', current_database());
                drop role {role};
            exception when dependent_objects_still_exist then null;
            end $$""")
