"""The ends of the programs' logs, and what is added to them."""

import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from cli.stack import compose
from cli.stack.checkout import Checkout
from cli.stack.errors import StackError
from cli.stack.state import load_state

POLL_S = 0.3


def show_logs(checkout: Checkout, names: Sequence[str], *, lines: int, follow: bool) -> None:
    """Print the last `lines` of the logs of `names`, or of all; with `follow` also what comes, until Ctrl-C."""
    state = load_state(checkout)
    files = sorted(checkout.log("x").parent.glob("*.log"))
    here = [file for file in files if not names or file.stem in names]
    elsewhere = [name for name in names if name not in {file.stem for file in files}]
    if state.servers is not None and state.servers.mode == "docker" and (elsewhere or not names):
        _print_ends(here, lines)
        compose.logs(checkout.root, elsewhere, lines=lines, follow=follow)
        return
    if elsewhere or not files:
        if not files:
            raise StackError("there are no logs yet: `make up` starts the stack, and they begin")
        known = ", ".join(file.stem for file in files)
        raise StackError(f"there is no log of {' and '.join(elsewhere)}; logs there are: {known}")
    positions = _print_ends(here, lines)
    while follow:
        time.sleep(POLL_S)
        for file in here:
            positions[file] = _print_news(file, positions[file], titled=len(here) > 1)


def _print_ends(files: Sequence[Path], lines: int) -> dict[Path, int]:
    """Print the last lines of each file; returns how far each has been read."""
    positions = {}
    for file in files:
        with file.open(encoding="utf-8", errors="replace") as log:
            end = deque(log, maxlen=lines)
            positions[file] = log.tell()
        if len(files) > 1:
            print(f"==> {file.stem} <==")
        print("".join(end), end="" if not end or end[-1].endswith("\n") else "\n", flush=True)
    return positions


def _print_news(file: Path, position: int, *, titled: bool) -> int:
    """Print what was added since `position`; a program that was started anew has a new, shorter log."""
    if not file.exists():
        return 0
    with file.open(encoding="utf-8", errors="replace") as log:
        if file.stat().st_size < position:
            position = 0
        log.seek(position)
        for line in log:
            print(f"{file.stem}: {line}" if titled else line, end="", flush=True)
        return log.tell()
