"""Numbers of things as a person writes them: `1 gateway`, `1,000 meters`."""


def counted(number: int, thing: str) -> str:
    """`number` of `thing`, which is in the singular and takes an s in the plural."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
