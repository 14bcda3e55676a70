"""Alerts: knows when each installation was last heard, and tells when one goes stale or is back."""
