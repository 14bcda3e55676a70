"""Query parameters that may be repeated."""

TIMES_MAX = 100
"""How often one may be given."""
