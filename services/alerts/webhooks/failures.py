"""Why nothing could be posted to an endpoint, in words that its tenant may read."""

from enum import StrEnum


class FailureKind(StrEnum):
    """How far a webhook came."""

    URL_REFUSED = "url_refused"
    """The URL is none that webhooks are sent to; what is allowed may have changed since it was given."""
    NAME_NOT_RESOLVED = "name_not_resolved"
    ADDRESS_REFUSED = "address_refused"
    """The name leads to an address that is not public."""
    NOT_CONNECTED = "not_connected"
    TLS = "tls"
    NO_ANSWER = "no_answer"
    """The connection was closed before an answer began."""
    BROKEN_ANSWER = "broken_answer"
    """Not HTTP, cut off, or too long, before the status and the headers were whole."""
    TIMED_OUT = "timed_out"


class WebhookFailure(Exception):  # noqa: N818 - what befell a webhook, and no fault of a program
    """A webhook that got no answer. The text is for the delivery log, which its tenant reads.

    It holds no address, no byte of what was received, and nothing else of our network: a tenant could explore it so.
    """

    def __init__(self, kind: FailureKind, text: str) -> None:
        super().__init__(text)
        self.kind = kind
