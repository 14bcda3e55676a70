"""What alerts reads."""
