"""What makes a bench give up."""


class BenchError(Exception):
    """The bench cannot run here, or its result would mean nothing; the text is one line."""
