"""A process that has many sockets at once asks for them."""

import subprocess
import sys

PROGRAM = """
import resource
from shared.open_files import allow_open_files
resource.setrlimit(resource.RLIMIT_NOFILE, (64, {hard}))
allow_open_files(512)
print(resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def limits_after(hard: int) -> str:
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(hard=hard)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_it_is_raised_to_what_is_wanted_or_as_far_as_it_may_be() -> None:
    assert limits_after(1024) == "(512, 1024)"
    assert limits_after(128) == "(128, 128)"
