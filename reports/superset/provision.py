"""Run by Superset's own Python: its metadata, somebody to sign in as, the import or export of bundles.

Imports of Superset stand inside, because they need the application to be there.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

ADMIN = "admin"
# What the committed bundles say of the database; where it is differs from place to place.
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


def import_bundles(bundles: Sequence[Path]) -> None:
    """Import databases, datasets, charts and dashboards over what is there."""
    from flask import g
    from superset import security_manager
    from superset.commands.importers.v1.assets import ImportAssetsCommand

    g.user = security_manager.find_user(ADMIN)
    contents = {}
    for number, bundle in enumerate(bundles):
        for file in sorted(bundle.rglob("*.yaml")):
            kind, *rest = file.relative_to(bundle).parts
            text = file.read_text()
            if kind == "databases":
                text = text.replace(PLACEHOLDER, os.environ["GRANARY_BI__DATABASE_URL"])
            # Two bundles may have charts of one name.
            contents["/".join([kind, str(number), *rest] if rest else [kind])] = text
    ImportAssetsCommand(contents).run()


def take_away(bundles: Sequence[Path]) -> None:
    """Delete dashboards and charts of domains that are off; datasets stay, for somebody's own charts to come back."""
    from superset import db
    from superset.models.dashboard import Dashboard
    from superset.models.slice import Slice

    for kind, model in (("dashboards", Dashboard), ("charts", Slice)):
        listed = [yaml.safe_load(file.read_text())["uuid"] for each in bundles for file in (each / kind).glob("*.yaml")]
        for found in db.session.query(model).filter(model.uuid.in_(listed)):
            db.session.delete(found)
    db.session.commit()


def export_bundles(bundles: Sequence[Path], root: Path, to: Path) -> None:
    """Write the dashboards, as they are now, over the bundles, in a form in which only changes differ.

    Args:
        bundles: those that were imported. What is in none yet goes to that of its dashboard, and a dashboard to that
            of what it shows; else to the first.
        root: the folder that they lie below.
        to: the folder below which they are written.
    """
    from flask import g
    from superset import db, security_manager
    from superset.commands.dashboard.export import ExportDashboardsCommand
    from superset.models.dashboard import Dashboard

    g.user = security_manager.find_user(ADMIN)
    homes = {
        yaml.safe_load(file.read_text())["uuid"]: bundle
        for bundle in bundles for file in bundle.rglob("*.yaml") if file.name != "metadata.yaml"
    }  # fmt: skip
    written: dict[str, Path] = {}
    for dashboard in db.session.query(Dashboard).order_by(Dashboard.uuid):
        files = {name: content() for name, content in ExportDashboardsCommand([dashboard.id]).run()}
        contents = {name: settled(yaml.safe_load(text)) for name, text in files.items() if name != "metadata.yaml"}
        shown = [homes.get(content["uuid"], bundles[0]) for content in contents.values()]
        own = homes.get(str(dashboard.uuid)) or next((each for each in shown if each != bundles[0]), bundles[0])
        for name, content in contents.items():
            if content["uuid"] in written:
                continue
            # Superset ends names with the metadata's own numbers.
            place = to / homes.get(content["uuid"], own).relative_to(root)
            file = place / re.sub(r"_\d+\.yaml$", ".yaml", name)
            if file in written.values():
                file = file.with_stem(f"{file.stem}_{content['uuid'][:8]}")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True))
            written[content["uuid"]] = file
    for bundle in bundles:
        for file in (to / bundle.relative_to(root)).rglob("*.yaml"):
            if file not in written.values() and file.name != "metadata.yaml":
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
    """`provision.py import BUNDLE…` or `provision.py export BUNDLE… --from FOLDER --to FOLDER`."""
    from superset.app import create_app

    parser = argparse.ArgumentParser()
    parser.add_argument("step", choices=["import", "export"])
    parser.add_argument("bundles", nargs="+", type=Path)
    parser.add_argument("--off", action="append", default=[], type=Path)
    parser.add_argument("--from", dest="root", type=Path)
    parser.add_argument("--to", type=Path)
    asked = parser.parse_args()
    app = create_app()
    with app.app_context():
        if asked.step == "export":
            export_bundles(asked.bundles, asked.root, asked.to)
        else:
            prepare(app)
            take_away(asked.off)
            import_bundles(asked.bundles)


if __name__ == "__main__":
    main()
