"""`mbus bench alerts`: what a sweep costs, whether folding keeps up with ingest, and how late an alert goes out."""
