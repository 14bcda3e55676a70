"""The templates beside this, and how they are filled in: what is HTML is escaped, what is missing is an error."""

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape


def templates() -> Environment:
    """Where templates are found by their names."""
    return Environment(
        loader=PackageLoader("services.alerts.mail"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
