"""Staging models made of SQL on FHIR's ViewDefinitions."""
