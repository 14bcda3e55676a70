"""What the OpenAPI document says of the service as a whole."""

TITLE = "M-Bus Gateway: alerts"

DESCRIPTION = """\
Which meters and gateways have fallen silent, and when silence is too long: of the tenant of your token, and nothing of
any other. What is another tenant's does not exist for you: a 404. To be told rather than to ask, make a subscription by
webhook or mail, listen to `GET /alerts/stream`, or take the events from the message broker.

**Tokens.** Every call has a bearer token (a JWT): with the scope `alerts:read` to read, and `alerts:write` to change
anything. It may be narrowed to some properties.

**Pages.** A list answers one page. `next_cursor` is where the next one begins: pass it as `cursor` with the same other
parameters, or follow the `Link` header. Rows that arrive meanwhile shift nothing.

**Times** are UTC in answers (`2026-11-01T05:00:00Z`). In parameters any offset is fine; escape its `+` as `%2B`, though
one that arrives as a space is understood.

**Errors** are problem+json (RFC 9457). `detail` is for people, `errors` names each bad parameter or field. Repeat a 429
or 503 after `Retry-After` seconds; a 4xx otherwise stays what it is.

Answers may get more fields later: pass over those that you do not know."""

TAGS = {
    "alerts": "What is silent for too long, or was.",
    "subscriptions": "Who is told by webhook or mail, and of what.",
    "deliveries": "What became of the events that were to be sent to subscriptions.",
    "policies": "How long a meter may be silent: rules for one, for a property, a medium, or the whole tenant.",
    "maintenance windows": "When subscribers are not told of new silence, since it is expected.",
}
