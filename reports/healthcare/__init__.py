"""The report pages of healthcare."""
