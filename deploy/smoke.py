"""Whether the running stack of this checkout works, as somebody outside sees it, with the commands of the README.

A reading that is sent by hand is read back through the API, and the meter, whose reading is just short of its limit of
48 hours, is said to be stale within a minute. With `--again`, the reading of the run before must still be there.
"""

# A script: it stands alone, prints, and starts commands of this checkout.
# ruff: noqa: INP001, S603, T201

import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2

from cli.demo import SILENT_SERIAL
from cli.stack.checkout import Checkout
from cli.stack.env_file import read_env_file

MBUS = Path(sys.executable).with_name("mbus")
JUST_SHORT_OF_STALE = timedelta(hours=47, minutes=59, seconds=30)
READ_BACK_TIMEOUT_S = 30
ALERT_TIMEOUT_S = 120


class SmokeError(Exception):
    """The stack does not do what it should."""


def main() -> None:
    """Go through it all and say what was seen; exit code 1 and one line when something is missing."""
    checkout = Checkout.here()
    env = read_env_file(checkout.env_file)
    sent = checkout.folder / "smoke.json"
    headers = {"Authorization": f"Bearer {env['MBUS_TOKEN']}"}
    with httpx2.Client(base_url=env["MBUS_QUERY_URL"], headers=headers, timeout=10, trust_env=False) as query:
        installation = find_installation(query)
        if "--again" in sys.argv[1:]:
            expect(query, installation, json.loads(sent.read_text(encoding="utf-8")))
            print("The reading of the run before is still there.")
        with subprocess.Popen(
            [MBUS, "alerts", "watch", "--tenant", env["MBUS_TENANT_ID"], "--json", "--wait", f"{ALERT_TIMEOUT_S}s"],
            stdout=subprocess.PIPE,
            text=True,
        ) as watch:
            try:
                reading = {
                    "timestamp": (datetime.now(UTC) - JUST_SHORT_OF_STALE).isoformat(timespec="seconds"),
                    "value": round(time.time() / 1000, 3),
                }
                publish({"gateway_id": "GW-0001", "readings": [{"meter_serial": SILENT_SERIAL, **reading}]})
                expect(query, installation, reading)
                sent.write_text(json.dumps(reading), encoding="utf-8")
                print(f"Published by hand and read back: {reading['value']} at {reading['timestamp']}.")
                event = wait_for_alert(watch, reading)
            finally:
                watch.terminate()
    print(f"A subscriber received {event['type']}, {event['id']}.")


def find_installation(query: httpx2.Client) -> str:
    """The id of the meter that the demo's simulator leaves alone."""
    for item in get(query, "/installations", limit="1000")["items"]:
        if item["meter_serial"] == SILENT_SERIAL:
            return str(item["id"])
    raise SmokeError(f"the demo has no meter {SILENT_SERIAL}")


def publish(message: dict[str, Any]) -> None:
    """Send a gateway's message as `mbus publish` does."""
    subprocess.run([MBUS, "publish", "-"], input=json.dumps(message), text=True, check=True)


def expect(query: httpx2.Client, installation: str, reading: dict[str, Any]) -> None:
    """Wait until the reading can be read."""
    moment = datetime.fromisoformat(reading["timestamp"])
    give_up_at = time.monotonic() + READ_BACK_TIMEOUT_S
    while time.monotonic() < give_up_at:
        for item in get(query, "/readings", installation_id=installation, limit="100")["items"]:
            if datetime.fromisoformat(item["timestamp"]) == moment and item["value"] == reading["value"]:
                return
        time.sleep(0.2)
    raise SmokeError(f"the reading {reading} cannot be read back")


def wait_for_alert(watch: "subprocess.Popen[str]", reading: dict[str, Any]) -> dict[str, Any]:
    """The event that the meter is stale, when it comes; `mbus alerts watch` ends by itself when it does not."""
    moment = datetime.fromisoformat(reading["timestamp"])
    for line in watch.stdout or ():
        event: dict[str, Any] = json.loads(line)
        if event["type"] != "installation.stale" or event["data"]["meter_serial"] != SILENT_SERIAL:
            continue
        # Before this run the meter may have been stale too.
        last = event["data"]["last_reading"]
        if last is not None and datetime.fromisoformat(last["timestamp"]) == moment:
            return event
    raise SmokeError(f"no subscriber heard within {ALERT_TIMEOUT_S} s that meter {SILENT_SERIAL} is stale")


def get(query: httpx2.Client, path: str, **parameters: str) -> dict[str, Any]:
    """What the API answers."""
    answer: dict[str, Any] = query.get(path, params=parameters).raise_for_status().json()
    return answer


if __name__ == "__main__":
    try:
        main()
    except SmokeError as failure:
        sys.exit(f"smoke: {failure}")
