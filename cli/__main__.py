"""`python -m cli` is `mbus`."""

from cli.main import main

main()
