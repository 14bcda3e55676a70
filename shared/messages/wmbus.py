"""What a gateway with wmbusmeters publishes: a telegram as that program writes it (docs/wmbusmeters.md).

The type is for describing such messages; ingest reads them with `services.ingest.wmbus`.
"""

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

Identity = Annotated[str, Meta(min_length=1, description="The meter's serial.")]
HeardAt = Annotated[datetime, Meta(tz=True, description="When wmbusmeters received the telegram.")]
Media = Annotated[str, Meta(description="What kind of meter it says that it is. Not looked at.")]
Driver = Annotated[str, Meta(description="wmbusmeters' driver. Not looked at.")]
Name = Annotated[str, Meta(description="What the gateway calls the meter. Not looked at.")]
Rssi = Annotated[float, Meta(description="How strong the meter was heard; 999 is not measured.")]


class WmbusTelegram(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A telegram; the field with its value depends on the meter, as `total_m3` or `current_consumption_hca`."""

    id: Identity
    timestamp: HeardAt
    media: Media | None = None
    meter: Driver | None = None
    name: Name | None = None
    rssi_dbm: Rssi | None = None
