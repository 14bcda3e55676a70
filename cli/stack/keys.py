"""The passwords and secrets of a stack: generated once, and kept with the data that they open."""

import secrets
from pathlib import Path

import msgspec

from cli.stack.accounts import private_file
from cli.stack.errors import StackError


def _new() -> str:
    # Letters and digits: they stand as they are in URLs and in every kind of configuration file.
    return secrets.token_hex(24)


class Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`name` tells this stack's logins on a server from those of another stack there."""

    name: str
    database: str = msgspec.field(default_factory=_new)
    broker: str = msgspec.field(default_factory=_new)
    service_logins: str = msgspec.field(default_factory=_new)
    jwt: str = msgspec.field(default_factory=_new)


def load_keys(data: Path, *, name: str) -> Keys:
    """The keys beside the data of a stack, made where there are none; `name` is for new ones."""
    file = data / "keys.json"
    try:
        if file.exists():
            return msgspec.json.decode(file.read_bytes(), type=Keys)
    except msgspec.DecodeError as error:
        raise StackError(
            f"{file} cannot be read ({error}): put it right, or remove the data with `make clean`"
        ) from error
    keys = Keys(name=name)
    private_file(file, msgspec.json.encode(keys).decode(), None)
    return keys
