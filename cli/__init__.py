"""The `mbus` command; it parses, calls and prints, nothing more."""
