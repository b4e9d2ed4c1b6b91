"""Alerts: what is wrong, since when, who owns it, and what to do; told once when it begins and once when it ends."""
