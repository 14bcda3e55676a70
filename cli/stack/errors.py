"""What goes wrong with a stack, said in one line."""

from cli.errors import CommandError


class StackError(CommandError):
    """The stack cannot be brought where it should be. The text is one line, says what to do, and holds no secret."""
