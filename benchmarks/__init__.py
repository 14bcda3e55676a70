"""What `mbus bench` runs: each makes and drops its own database and virtual host, and measures its own anchors."""
