"""`mbus dead-letters`: the messages that could not be understood."""
