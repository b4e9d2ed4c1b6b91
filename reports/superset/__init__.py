"""Superset as code: its settings, and a bundle of dashboards over the published marts."""
