"""A stack on this machine: embedded servers, or yours, and the services as background processes."""

import asyncio
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from cli.errors import one_line
from cli.migrate import migrate_all
from cli.settings import MigrateSettings
from cli.stack import packages
from cli.stack.accounts import Account, private_folder, server_account
from cli.stack.checkout import Checkout
from cli.stack.env_file import read_env_file, write_env_file
from cli.stack.errors import StackError
from cli.stack.keys import Keys, load_keys
from cli.stack.own_servers import check_own_servers
from cli.stack.postgres import EmbeddedPostgres
from cli.stack.programs import ENDINGS, end, ensure, find_port
from cli.stack.rabbitmq import EmbeddedRabbit, find_server
from cli.stack.services import SERVICES, USUAL_PORTS, start_service, wait_for_service
from cli.stack.state import Servers, State
from cli.stack.variables import server_variables, service_urls

ROOM_BYTES = 500_000_000
SERVER_PORTS = {
    "postgres": 15432,
    "rabbitmq": 15673,
    "mqtt": 11883,
    "management": 15674,
    "distribution": 15675,
    "epmd": 15676,
}


@dataclass(frozen=True)
class LocalStack:
    """A checkout's stack on this machine; what runs is noted in `state` as soon as it does."""

    checkout: Checkout
    state: State
    servers: Servers
    wanted_ports: Mapping[str, int]
    tell: Callable[[str], None]

    def all_run(self) -> bool:
        """Whether every program that should run does."""
        return all(self.state.is_alive(name) for name in (*self.servers.embedded, *SERVICES))

    def ensure(self) -> dict[str, str]:
        """Start what does not run, and return the stack's variables."""
        # First, so that a port that cannot be had stops it before anything runs.
        ports = {name: self._port(name, usual, of=name) for name, usual in USUAL_PORTS.items()}
        check_own_servers(self.servers)
        account = server_account(self.state.data)
        private_folder(self.state.data, account)
        keys = load_keys(self.state.data, name=self.checkout.id)
        servers = self._ensure_servers(keys, account)
        before = read_env_file(self.checkout.env_file)
        are_others = any(name in before and before[name] != value for name, value in servers.items())
        if are_others or not all(self.state.is_alive(name) for name in SERVICES):
            self._migrate(servers)
        if are_others:
            self._end_what_uses_servers()
        return servers | self._ensure_services(servers, ports)

    def _ensure_servers(self, keys: Keys, account: Account | None) -> dict[str, str]:
        """Start the embedded servers, and return the variables that name them or yours."""
        database_url, broker_url = self.servers.database_url, self.servers.broker_url
        management_url, mqtt_url = self.servers.management_url, self.servers.mqtt_url
        if not all(self.state.is_alive(name) for name in self.servers.embedded):
            self._check_room()
        waits: list[Callable[[], None]] = []
        more: dict[str, str] = {}
        if broker_url is None or management_url is None:
            rabbit = self._rabbit(keys, account)
            ensure("epmd", self.state, rabbit.start_epmd, tell=self.tell)
            node = ensure("rabbitmq", self.state, rabbit.start, tell=self.tell)
            waits.append(partial(rabbit.wait, node))
            broker_url, management_url, mqtt_url = rabbit.url, rabbit.management_url, rabbit.mqtt_url
            if rabbit.stamps_messages:
                more["MBUS_INGEST_TRUST_BROKER_STAMPS"] = "true"
        if database_url is None:
            postgres = self._postgres(keys, account)
            process = ensure("postgres", self.state, postgres.start, tell=self.tell)
            waits.append(partial(postgres.wait, process))
            database_url = postgres.url
        # Both come up at the same time.
        for wait in waits:
            wait()
        return more | server_variables(
            database_url=database_url,
            broker_url=broker_url,
            management_url=management_url,
            mqtt_url=mqtt_url,
            keys=keys,
        )

    def _check_room(self) -> None:
        """RabbitMQ takes nothing any more when little room is left, and says so in its log only."""
        free = shutil.disk_usage(self.state.data).free
        if free < ROOM_BYTES:
            raise StackError(
                f"the disk of {self.state.data} has {free // 10**6} MB left; the servers need {ROOM_BYTES // 10**6} MB"
            )

    def _postgres(self, keys: Keys, account: Account | None) -> EmbeddedPostgres:
        return EmbeddedPostgres(
            folder=self.state.data / "postgres",
            log=self.checkout.log("postgres"),
            port=self._port("postgres", SERVER_PORTS["postgres"], of="postgres"),
            password=keys.database,
            account=account,
        )

    def _rabbit(self, keys: Keys, account: Account | None) -> EmbeddedRabbit:
        if find_server() is None:
            packages.install_rabbitmq(instead="MBUS_UP_BROKER_URL", tell=self.tell)
        port = partial(self._port, of="rabbitmq")
        return EmbeddedRabbit(
            folder=self.state.data / "rabbitmq",
            log=self.checkout.log("rabbitmq"),
            epmd_log=self.checkout.log("epmd"),
            node=f"mbus-{keys.name}@localhost",
            password=keys.broker,
            account=account,
            port=port("rabbitmq", SERVER_PORTS["rabbitmq"]),
            mqtt_port=port("mqtt", SERVER_PORTS["mqtt"]),
            management_port=port("management", SERVER_PORTS["management"]),
            distribution_port=port("distribution", SERVER_PORTS["distribution"]),
            epmd_port=self._port("epmd", SERVER_PORTS["epmd"], of="epmd"),
        )

    def _port(self, name: str, usual: int, *, of: str) -> int:
        """The port that a running program has, or that it shall have."""
        if self.state.is_alive(of) and name in self.state.ports:
            return self.state.ports[name]
        return find_port(name, self.state, usual=usual, wanted=self.wanted_ports.get(name), tell=self.tell)

    def _end_what_uses_servers(self) -> None:
        self.tell("the servers are others than before: what uses them is started anew")
        for name in ENDINGS:
            if name in (*SERVICES, "simulator") and name in self.state.processes:
                end(name, self.state)

    def _migrate(self, servers: Mapping[str, str]) -> None:
        async def run() -> None:
            async for done in migrate_all(settings):
                self.tell(done)

        names = {f"MBUS_{name.upper()}": name for name in MigrateSettings.model_fields}
        settings = MigrateSettings.model_validate({names[key]: url for key, url in servers.items() if key in names})
        try:
            asyncio.run(run())
        except Exception as error:
            raise StackError(f"the servers could not be made ready: {one_line(error)}") from error

    def _ensure_services(self, servers: Mapping[str, str], ports: Mapping[str, int]) -> dict[str, str]:
        """Start the services, and return the variables that say where they are."""
        # Written before anything uses it, so that a run which ends here leaves a stack that can be looked at.
        written = read_env_file(self.checkout.env_file)
        write_env_file(self.checkout.env_file, written | dict(servers) | service_urls(ports))
        processes = {
            name: ensure(
                name,
                self.state,
                partial(
                    start_service,
                    name,
                    port=ports[name],
                    variables=servers,
                    root=self.checkout.root,
                    data=self.state.data,
                    log=self.checkout.log(name),
                ),
                tell=self.tell,
            )
            for name in SERVICES
        }
        for name, process in processes.items():
            wait_for_service(name, process, port=ports[name], log=self.checkout.log(name))
        return service_urls(ports)
