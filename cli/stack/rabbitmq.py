"""A RabbitMQ node of the checkout's own, with an epmd of its own: the system's service is not touched."""

import os
import secrets
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import httpx2

from cli.stack.accounts import Account, private_file, private_folder
from cli.stack.errors import StackError
from cli.stack.processes import BackgroundProcess, start, wait_until
from cli.stack.strays import MARK
from shared import topology

USER = "mbus"
START_TIMEOUT_S = 180
STOP_PATIENCE_S = 60
FIRST_WITH_INTERCEPTORS = 4

# The Debian package's own script: the one in /usr/sbin insists on being root or the account `rabbitmq`.
SCRIPTS = (
    Path("/usr/lib/rabbitmq/bin/rabbitmq-server"),
    Path("/opt/homebrew/opt/rabbitmq/sbin/rabbitmq-server"),
    Path("/usr/local/opt/rabbitmq/sbin/rabbitmq-server"),
)
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/homebrew/bin"


def find_server() -> Path | None:
    """The script that starts a node, or None where RabbitMQ is not installed."""
    for script in SCRIPTS:
        if script.exists():
            return script
    found = shutil.which("rabbitmq-server")
    return None if found is None else Path(found)


def major_version(script: Path) -> int:
    """The major version of the RabbitMQ that `script` starts; 0 where it does not tell."""
    plugins = script.resolve().parent.parent / "plugins"
    versions = [path.name.removeprefix("rabbit-").split(".")[0] for path in plugins.glob("rabbit-[0-9]*")]
    return max((int(major) for major in versions), default=0)


@dataclass(frozen=True)
class EmbeddedRabbit:
    """A node with its data in `folder`; all of its ports, and epmd's, are on 127.0.0.1 only.

    The data belongs to the name of the node: another `node` on the same folder starts empty.
    """

    folder: Path
    log: Path
    epmd_log: Path
    node: str
    password: str
    account: Account | None
    port: int
    mqtt_port: int
    management_port: int
    distribution_port: int
    epmd_port: int

    @property
    def url(self) -> str:
        """The administrator's AMQP URL, of the virtual host `/`."""
        return f"amqp://{USER}:{quote(self.password, safe='')}@127.0.0.1:{self.port}/"

    @property
    def mqtt_url(self) -> str:
        """Where it is reached over MQTT; gateways have logins of their own."""
        return f"mqtt://127.0.0.1:{self.mqtt_port}"

    @property
    def management_url(self) -> str:
        """The administrator's URL of the management API."""
        return f"http://{USER}:{quote(self.password, safe='')}@127.0.0.1:{self.management_port}"

    @property
    def stamps_messages(self) -> bool:
        """Whether the node writes into each message when it accepted it, whatever its sender wrote there."""
        script = find_server()
        return script is not None and major_version(script) >= FIRST_WITH_INTERCEPTORS

    def start_epmd(self) -> BackgroundProcess:
        """Start the port mapper that the node needs before it; left to itself the node would start one for good."""
        private_folder(self.folder, self.account)
        program = shutil.which("epmd", path=PATH)
        if program is None:
            raise StackError("Erlang's epmd was not found; RabbitMQ needs it")
        epmd = start(
            [program, "-port", str(self.epmd_port), "-address", "127.0.0.1"],
            log=self.epmd_log,
            env={"PATH": PATH, "HOME": str(self.folder), MARK: str(self.folder)},
            folder=self.folder,
            account=self.account,
        )
        wait_until(lambda: _listens(self.epmd_port), epmd, name="epmd", log=self.epmd_log, timeout_s=15)
        return epmd

    def start(self) -> BackgroundProcess:
        """Start the node; epmd must run."""
        script = find_server()
        if script is None:
            raise StackError("RabbitMQ is not installed")
        private_folder(self.folder, self.account)
        self._stop_an_earlier_one()
        self._write_configuration()
        return start(
            [script],
            log=self.log,
            env=self.environment(),
            folder=self.folder,
            account=self.account,
            umask=0o077,
        )

    def wait(self, process: BackgroundProcess) -> None:
        """Wait until the node takes connections and lets the administrator in."""
        wait_until(self._lets_in, process, name="RabbitMQ", log=self.log, timeout_s=START_TIMEOUT_S)

    @staticmethod
    def stop(process: BackgroundProcess) -> bool:
        """Stop the node, or its epmd, which must be the last. False if it had to be killed."""
        return process.stop(patience_s=STOP_PATIENCE_S)

    @property
    def _pid_file(self) -> Path:
        return self.folder / "node.pid"

    def _write_configuration(self) -> None:
        lines = [
            f"listeners.tcp.1 = 127.0.0.1:{self.port}",
            "management.tcp.ip = 127.0.0.1",
            f"management.tcp.port = {self.management_port}",
            f"default_user = {USER}",
            f"default_pass = {self.password}",
            f"mqtt.listeners.tcp.1 = 127.0.0.1:{self.mqtt_port}",
            # As in deploy/rabbitmq: topics `gateways/<id>/readings` become keys on the exchange of the gateways.
            f"mqtt.exchange = {topology.GATEWAYS}",
            "mqtt.vhost = /",
            "mqtt.allow_anonymous = false",
            "log.console = true",
            "log.console.use_colors = off",
            "log.file = false",
        ]
        if self.stamps_messages:
            # As in deploy/rabbitmq; earlier versions do not start with these.
            lines += [
                "message_interceptors.incoming.set_header_timestamp.overwrite = true",
                "max_message_size = 5242880",
                "mqtt.max_packet_size_authenticated = 5242880",
            ]
        private_file(self.folder / "rabbitmq.conf", "\n".join([*lines, ""]), self.account)
        private_file(self.folder / "enabled_plugins", "[rabbitmq_management, rabbitmq_mqtt].\n", self.account)
        cookie = self.folder / ".erlang.cookie"
        if not cookie.exists():
            private_file(cookie, secrets.token_hex(32), self.account)

    def environment(self) -> dict[str, str]:
        """The variables with which RabbitMQ's programs find this node and nothing of the system's own."""
        return {
            "PATH": PATH,
            "HOME": str(self.folder),
            MARK: str(self.folder),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_DIST_PORT": str(self.distribution_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_LOG": "-color",
            # The node takes the place of the script that starts it: the process that is noted is the node itself.
            "RUNNING_UNDER_SYSTEMD": "true",
            "RABBITMQ_PID_FILE": str(self._pid_file),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            # Nothing of the system's own node is read.
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_CONFIG_FILES": str(self.folder / "conf.d"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "advanced.config"),
        }

    def _stop_an_earlier_one(self) -> None:
        """Stop a node that still runs on this folder, as after the loss of the checkout's `.mbus`."""
        if not self._pid_file.exists():
            return
        pid = int(self._pid_file.read_text(encoding="utf-8"))
        # The Erlang machine is told its home.
        found = BackgroundProcess.of(pid, with_argument=str(self.folder))
        if found is not None:
            self.stop(found)

    def _lets_in(self) -> bool:
        if not (_listens(self.port) and _listens(self.mqtt_port)):
            return False
        try:
            answer = httpx2.get(
                f"http://127.0.0.1:{self.management_port}/api/whoami",
                auth=(USER, self.password),
                timeout=5,
                trust_env=False,  # no proxy stands between this machine and itself
            )
        except httpx2.TransportError:
            return False
        if answer.status_code == httpx2.codes.UNAUTHORIZED:
            raise StackError(f"the data in {self.folder} belongs to another password: remove it with `make clean`")
        return answer.is_success


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
