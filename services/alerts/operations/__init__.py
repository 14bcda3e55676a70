"""What alerts writes: one transaction a use case."""
