"""`mbus quarantine`: the readings that could not be stored."""
