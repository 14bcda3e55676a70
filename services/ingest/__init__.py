"""Ingest: gateway messages become stored readings; none lost, none twice."""
