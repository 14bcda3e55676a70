"""What the OpenAPI document says of the service as a whole."""

TITLE = "M-Bus Gateway: query"

DESCRIPTION = """\
Properties, the meter installations in them, whether each is still heard, and their readings: all that the tenant of
your token has, and nothing of any other. What is another tenant's does not exist for you: a 404.

**Tokens.** Every call has a bearer token (a JWT) with the scope `readings:read`. It may be narrowed to some properties.

**Pages.** A list answers one page. `next_cursor` is where the next one begins: pass it as `cursor` with the same other
parameters, or follow the `Link` header. Rows that arrive meanwhile shift nothing; but an installation that is heard
meanwhile moves in an order by latest reading, and may be met twice or not at all. By `meter_serial` nothing moves.

**Times** are UTC in answers (`2026-11-01T05:00:00Z`). In parameters any offset is fine; escape its `+` as `%2B`, though
one that arrives as a space is understood.

**Errors** are problem+json (RFC 9457). `detail` is for people, `errors` names each bad parameter. Repeat a 429 or 503
after `Retry-After` seconds; a 4xx otherwise stays what it is.

Answers may get more fields later: pass over those that you do not know."""

TAGS = {
    "readings": "What meters showed, by time.",
    "consumption": "What was used, by hour, day, week or month.",
    "installations": "Meters mounted in units, whether each is still heard, and its latest reading.",
    "properties": "Buildings with their units and config.",
}
