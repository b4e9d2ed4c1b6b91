"""Whose data it is: forgetting, retention, a tenant's own rows."""
