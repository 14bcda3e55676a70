"""What the stack remembers from one command to the next: how it runs, its ports, its processes."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec
from typing_extensions import override

from cli.stack.accounts import private_file
from cli.stack.checkout import Checkout
from cli.stack.errors import StackError
from cli.stack.processes import BackgroundProcess

Mode = Literal["docker", "local"]


@dataclass(frozen=True)
class Servers:
    """How the servers are had: in containers with all the rest, or, for each of the two, embedded or yours."""

    mode: Mode
    database_url: str | None = None
    broker_url: str | None = None
    management_url: str | None = None
    mqtt_url: str | None = None

    @property
    def embedded(self) -> list[str]:
        """The programs that are servers of the checkout's own."""
        if self.mode == "docker":
            return []
        broker = [] if self.broker_url else ["epmd", "rabbitmq"]
        return broker + ([] if self.database_url else ["postgres"])

    @override
    def __str__(self) -> str:
        if self.mode == "docker":
            return "in Docker containers"
        database = "PostgreSQL of yours" if self.database_url else "PostgreSQL embedded"
        broker = "RabbitMQ of yours" if self.broker_url else "RabbitMQ embedded"
        return f"on this machine ({database}, {broker})"


class _ProcessRecord(msgspec.Struct):
    pid: int
    since_boot: float


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    checkout: str
    data: str
    servers: Servers | None = None
    ports: dict[str, int] = {}
    processes: dict[str, _ProcessRecord] = {}


@dataclass
class State:
    """The memory of a checkout's stack, written to its file by `save`.

    `ports` and `processes` go by the names of programs; a process that is listed may have ended since.
    """

    file: Path
    checkout: Path
    data: Path
    servers: Servers | None = None
    ports: dict[str, int] = field(default_factory=dict)
    processes: dict[str, BackgroundProcess] = field(default_factory=dict)

    def is_alive(self, name: str) -> bool:
        """Whether the program runs."""
        return name in self.processes and self.processes[name].is_alive

    @property
    def alive(self) -> list[str]:
        """The programs that run, in the order in which they were started."""
        return [name for name in self.processes if self.is_alive(name)]

    def save(self) -> None:
        """Write it down, whole or not at all."""
        record = _Record(
            checkout=str(self.checkout),
            data=str(self.data),
            servers=self.servers,
            ports=self.ports,
            processes={name: _ProcessRecord(it.pid, it.since_boot) for name, it in self.processes.items()},
        )
        private_file(self.file, msgspec.json.format(msgspec.json.encode(record), indent=1).decode() + "\n", None)


def load_state(checkout: Checkout) -> State:
    """What is remembered of the checkout's stack; a new memory where there is none, or another checkout's.

    A checkout that was copied brings the memory of the first one along: its processes are not this one's. One that
    was moved keeps its own.
    """
    new = State(checkout.state_file, checkout.root, checkout.default_data)
    if not checkout.state_file.exists():
        return new
    try:
        record = msgspec.json.decode(checkout.state_file.read_bytes(), type=_Record)
    except msgspec.DecodeError as error:
        raise StackError(f"{checkout.state_file} cannot be read ({error}): put it right or remove it") from error
    if Path(record.checkout) != checkout.root and Path(record.checkout).exists():
        return new
    if Path(record.data).exists():
        new.data = Path(record.data)
    new.servers, new.ports = record.servers, record.ports
    new.processes = {name: BackgroundProcess(it.pid, it.since_boot) for name, it in record.processes.items()}
    return new
