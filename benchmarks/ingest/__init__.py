"""`mbus bench ingest`: how close ingest comes to what COPY alone can do."""
