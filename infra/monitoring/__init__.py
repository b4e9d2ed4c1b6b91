"""Monitoring: what Prometheus reads of Granary, its rules, and Grafana's dashboards."""
