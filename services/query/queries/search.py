"""What a text that is searched for becomes in a statement."""


def pattern_with(text: str) -> str:
    """The pattern for `ILIKE` that whatever has `text` in it matches; `%` and `_` in it are themselves."""
    plain = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{plain}%"
