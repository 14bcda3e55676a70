"""What a DNS name is, and one spelling for each. Pure."""

import re

import idna

NAME_MAX_CHARACTERS = 253
"""RFC 1035, 2.3.4: 255 bytes as they are sent, without the dot at the end."""

# Letters, digits, hyphens (RFC 1123), and the underscore, which names of containers have.
LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def dns_name(text: str) -> str:
    """`text` in small letters, other scripts in their ASCII form (IDNA, UTS 46), without a dot at the end.

    `ValueError` where no DNS name is written so.
    """
    name = text.lower()
    if not name.isascii() or "xn--" in name:
        try:
            name = idna.encode(text, uts46=True).decode()
        except UnicodeError:
            raise ValueError("is not a name that DNS knows") from None
    name = name.removesuffix(".")
    if len(name) > NAME_MAX_CHARACTERS or not all(LABEL.fullmatch(label) for label in name.split(".")):
        raise ValueError("is not a name that DNS knows")
    return name


def ends_in_a_number(name: str) -> bool:
    """Whether programs take `name` for an IPv4 address in one of its many forms: `127.1`, `0x7f.1`, `2130706433`.

    No top-level domain is a number (https://url.spec.whatwg.org/#ends-in-a-number-checker).
    """
    return NUMBER.fullmatch(name.rpartition(".")[2]) is not None
