"""Ingestion: external sources into the raw schemas, and nothing else."""
