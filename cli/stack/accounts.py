"""The system account that servers run as: PostgreSQL refuses to be run by root."""

import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.stack.errors import StackError

UNPRIVILEGED = ("rabbitmq", "nobody")


@dataclass(frozen=True)
class Account:
    """A system account by its numbers."""

    uid: int
    gid: int

    @property
    def as_popen(self) -> dict[str, Any]:
        """The arguments that make `subprocess` run a program as this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def server_account(folder: Path) -> Account | None:
    """Who the servers with their data in `folder` run as; None is whoever runs this program, who is not root.

    Root hands them to an account that the system already has: the one that owns the folder, if it is there.
    """
    if os.geteuid() != 0:
        return None
    if folder.exists() and (owner := folder.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    for name in UNPRIVILEGED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise StackError(f"servers must not run as root, and this system has no account {' or '.join(UNPRIVILEGED)}")


def private_folder(folder: Path, account: Account | None) -> Path:
    """Make a folder that only `account` (and root) may enter; parents that are there are left as they are."""
    for parent in reversed(folder.parents):
        if not parent.exists():
            parent.mkdir()
            parent.chmod(0o755)  # whatever root's umask says
    folder.mkdir(mode=0o700, exist_ok=True)
    if account is not None:
        os.chown(folder, account.uid, account.gid)
    return folder


def private_file(file: Path, text: str, account: Account | None) -> Path:
    """Write a file that only `account` (and root) may read, replacing the one that was there."""
    unfinished = file.with_name(f"{file.name}.new")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600, exist_ok=False)
    unfinished.write_text(text, encoding="utf-8")
    if account is not None:
        shutil.chown(unfinished, account.uid, account.gid)
    return unfinished.replace(file)
