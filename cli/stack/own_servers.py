"""Servers of the person who runs this: what the URLs that name them leave open."""

from urllib.parse import urlsplit


def management_beside(broker_url: str) -> str:
    """The management API where it usually is: on the broker's host, with the same name and password."""
    parts = urlsplit(broker_url)
    login = parts.netloc.rpartition("@")[0] or "guest:guest"
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    scheme, port = ("https", 15671) if parts.scheme == "amqps" else ("http", 15672)
    return f"{scheme}://{login}@{host}:{port}"
