"""Logins at the broker that a command makes: the password, the address with it, and how it is told, once."""

import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec

PASSWORD_BYTES = 24


def new_password() -> str:
    """A password that cannot be guessed and needs no quoting in a URL."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


def with_login(url: str, name: str, password: str) -> str:
    """The URL with another login."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{quote(name, safe='')}:{quote(password, safe='')}@{host}"))


def print_login(told: Mapping[str, Any], *, as_json: bool) -> None:
    """What somebody must be told to log in; for a person without what is None."""
    if as_json:
        print_json(told)
        return
    for what, value in told.items():
        if value is not None:
            print(f"{what:<18} {value}")
    print("The password is not shown again.")


def print_json(content: Mapping[str, Any]) -> None:
    """One line, for a program."""
    print(msgspec.json.encode(content).decode())
