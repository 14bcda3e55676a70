"""`.mbus/env`: the variables by which programs reach the running stack, as a shell can read them."""

import os
import shlex
from collections.abc import Mapping, MutableMapping
from pathlib import Path

from cli.stack.accounts import private_file
from cli.stack.checkout import Checkout
from cli.stack.errors import StackError


def write_env_file(file: Path, variables: Mapping[str, str]) -> None:
    """Write `KEY=value` lines, quoted where a shell needs it, for the owner's eyes only."""
    private_file(file, "".join(f"{name}={shlex.quote(value)}\n" for name, value in variables.items()), None)


def read_env_file(file: Path) -> dict[str, str]:
    """The variables of a file; none where there is no file."""
    if not file.exists():
        return {}
    variables = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            words = [""]
        if not words:
            continue
        name, equals, value = words[0].partition("=")
        if len(words) > 1 or not equals:
            raise StackError(f"{file}, line {number}: is not of the form KEY=value")
        variables[name] = value
    return variables


def load_env_file(environ: MutableMapping[str, str] = os.environ) -> None:
    """Add the variables of this checkout's running stack to `environ`; what is set there already stays.

    `MBUS_ENV_FILE` in it names another file instead.
    """
    file = environ.get("MBUS_ENV_FILE")
    for name, value in read_env_file(Path(file) if file else Checkout.here().env_file).items():
        environ.setdefault(name, value)
