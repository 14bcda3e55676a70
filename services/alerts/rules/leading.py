"""Which replica leads the rounds: one that may be believed, and that the others can hear. Pure."""

from datetime import datetime, timedelta

TAKE_OVER_AFTER = timedelta(seconds=5)
"""Another replica leads when the leader has said nothing for so long: longer than the broker is waited for."""

TAKE_OVER_ANYWAY_AFTER = timedelta(seconds=10)
"""So does one whose clock is not believed, when nobody else does: somebody has to say why judgement is held."""


def takes_over(looked_at: datetime | None, now: datetime, *, resigned: bool, believed: bool) -> bool:
    """Whether a replica that stands by leads from now on; both moments are by the database's clock.

    `resigned` is whether the leader has said that it leads no longer, `believed` whether our clock agrees with the
    database's. A look that lies ahead tells nothing: the database's clock was set back.
    """
    if looked_at is None:
        return True
    silence = abs(now - looked_at)
    return (resigned or silence > TAKE_OVER_AFTER) if believed else silence > TAKE_OVER_ANYWAY_AFTER
