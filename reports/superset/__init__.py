"""Superset as code: its settings, and bundles of dashboards over the published marts: ours and each domain's."""
