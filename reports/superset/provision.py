"""Run by Superset's own Python: its metadata, somebody to sign in as, the import or export of the bundle.

Imports of Superset stand inside, because they need the application to be there.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import yaml

ADMIN = "admin"
# What the committed bundle says of the database; where it is differs from place to place.
PLACEHOLDER = "duckdb:///:memory:"
# What holds the metadata's own numbers of charts and datasets; an import finds them by their uuid, or makes them anew.
NUMBERED = ("datasource", "slice_id", "dashboards", "chart_configuration", "chartsInScope", "tabsInScope")


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines, which are SQL, as they are read."""


_Dumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, "|" if "\n" in text else None)
)


def prepare(app: Any) -> None:
    """Metadata tables, roles, and somebody to sign in as; who is there stays, with another password if one is given."""
    from flask_migrate import upgrade
    from superset import security_manager

    upgrade(directory=str(Path(app.root_path) / "migrations"))
    app.appbuilder.add_permissions(update_perms=True)
    security_manager.sync_role_definitions()
    password, admin = os.environ.get("GRANARY_BI__ADMIN_PASSWORD", ""), security_manager.find_user(ADMIN)
    if admin is None:
        role = security_manager.find_role("Admin")
        if not security_manager.add_user(ADMIN, "Granary", "Admin", "admin@localhost", role, password=password):
            sys.exit("FAILED: Superset did not take the admin")
    elif password:
        security_manager.reset_password(admin.id, password)


def import_bundle(bundle: Path) -> None:
    """Import databases, datasets, charts and dashboards over what is there."""
    from flask import g
    from superset import security_manager
    from superset.commands.importers.v1.assets import ImportAssetsCommand

    g.user = security_manager.find_user(ADMIN)
    contents = {str(file.relative_to(bundle)): file.read_text() for file in sorted(bundle.rglob("*.yaml"))}
    for name, text in contents.items():
        if name.startswith("databases/"):
            contents[name] = text.replace(PLACEHOLDER, os.environ["GRANARY_BI__DATABASE_URL"])
    ImportAssetsCommand(contents).run()


def export_bundle(bundle: Path) -> None:
    """Write the dashboards, as they are now, over the bundle, in a form in which only changes differ."""
    from flask import g
    from superset import db, security_manager
    from superset.commands.dashboard.export import ExportDashboardsCommand
    from superset.models.dashboard import Dashboard

    g.user = security_manager.find_user(ADMIN)
    ids = [dashboard.id for dashboard in db.session.query(Dashboard).order_by(Dashboard.uuid)]
    files = {name: content() for name, content in ExportDashboardsCommand(ids).run()}
    written = set()
    for name, text in files.items():
        if name == "metadata.yaml":
            continue
        content = settled(yaml.safe_load(text))
        # Superset ends names with the metadata's own numbers.
        file = bundle / re.sub(r"_\d+\.yaml$", ".yaml", name)
        if file in written:
            file = file.with_stem(f"{file.stem}_{content['uuid'][:8]}")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True))
        written.add(file)
    for file in bundle.rglob("*.yaml"):
        if file not in written and file.name != "metadata.yaml":
            file.unlink()


def settled(content: Any) -> Any:
    """A bundle file without what differs from one Superset to the next: where the data are, numbers of its metadata."""
    if isinstance(content, list):
        return [settled(each) for each in content]
    if not isinstance(content, dict):
        return content
    kept = {name: settled(value) for name, value in content.items() if name not in NUMBERED}
    if "sqlalchemy_uri" in kept:
        kept["sqlalchemy_uri"] = PLACEHOLDER
    if "position" in kept:
        items = [item for _, item in sorted(kept["position"].items()) if isinstance(item, dict)]
        for number, item in enumerate((item for item in items if item["type"] == "CHART"), 1):
            item["meta"]["chartId"] = number  # an import needs one, and finds the chart by its uuid
    return kept


def main() -> None:
    """`provision.py import FOLDER` or `provision.py export FOLDER`."""
    from superset.app import create_app

    step, bundle = sys.argv[1], Path(sys.argv[2])
    app = create_app()
    with app.app_context():
        if step == "export":
            export_bundle(bundle)
        else:
            prepare(app)
            import_bundle(bundle)


if __name__ == "__main__":
    main()
