"""`mbus up`: brings up what does not run, and ends when readings have been seen to arrive."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from cli.stack.arrivals import Arrivals, wait_for_arrivals
from cli.stack.checkout import Checkout
from cli.stack.choice import CONTAINERS, EMBEDDED, choose_servers
from cli.stack.compose import ComposeError
from cli.stack.containers import ContainerStack
from cli.stack.demo_tenant import demo_token, register_demo, start_simulator
from cli.stack.env_file import read_env_file, write_env_file
from cli.stack.errors import StackError
from cli.stack.local import LocalStack
from cli.stack.programs import ensure
from cli.stack.settings import UpSettings
from cli.stack.state import Servers, State, load_state
from cli.stack.strays import end_strays
from shared.clock import Clock

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What runs now: on which servers, with which variables, and what was seen to arrive."""

    servers: Servers
    variables: dict[str, str]
    arrivals: Arrivals
    changed: bool


def bring_up(checkout: Checkout, settings: UpSettings, *, tell: Tell, clock: Clock) -> Outcome:
    """Start what does not run, and wait until readings arrive; a stack that runs is left as it is."""
    with checkout.locked():
        since = clock()
        state = load_state(checkout)
        # Before ports are chosen, so that what is started anew has those that it had.
        end_strays(state.data, noted=state.processes.values(), tell=tell)
        up = _Up(checkout, settings, state, tell)
        chosen = up.choose()
        ran = up.all_runs(chosen)
        servers, variables = up.ensure_servers_and_services(chosen)
        variables = up.ensure_demo(variables, anew=not ran)
        arrivals = wait_for_arrivals(
            variables["MBUS_QUERY_URL"],
            variables["MBUS_TOKEN"],
            since=None if ran else since,
            log=checkout.log("simulator"),
        )
    return Outcome(servers, variables, arrivals, changed=not ran)


@dataclass(frozen=True)
class _Up:
    """One run of `mbus up`."""

    checkout: Checkout
    settings: UpSettings
    state: State
    tell: Tell

    @property
    def remembered(self) -> Servers | None:
        """The servers that a stack came up on before, and that may have its data."""
        return self.state.servers if self.checkout.env_file.exists() else None

    def choose(self) -> Servers:
        """The servers to run on; `StackError` while the stack runs in another way."""
        servers = choose_servers(self.settings, self.remembered, tell=self.tell)
        runs_on = self.state.servers
        if runs_on is not None and runs_on.mode != servers.mode and self.state.alive:
            raise StackError(f"the stack runs {runs_on}: `make down` first, then it can start {servers}")
        return servers

    def all_runs(self, servers: Servers) -> bool:
        """Whether all of it runs, on these servers, and readings could be asked for."""
        return (
            servers == self.state.servers
            and self.state.is_alive("simulator")
            and "MBUS_TOKEN" in read_env_file(self.checkout.env_file)
            and self._stack(servers).all_run()
        )

    def ensure_servers_and_services(self, servers: Servers) -> tuple[Servers, dict[str, str]]:
        """Start them as chosen; containers that fail, and hold no data yet, give way to embedded servers."""
        remembered = self.remembered
        try:
            return servers, self._ensure(servers)
        except ComposeError as error:
            if self.settings.up_mode == "docker" or remembered == CONTAINERS:
                raise
            self.tell(f"not in containers: {error}")
        return EMBEDDED, self._ensure(EMBEDDED)

    def ensure_demo(self, variables: dict[str, str], *, anew: bool) -> dict[str, str]:
        """Start the simulator of the demo tenant's gateways, and return the variables with those of the tenant."""
        if not anew:
            return read_env_file(self.checkout.env_file) | variables
        self.tell("registering the demo tenant")
        tenant_id = register_demo(variables["MBUS_DATABASE_URL"])
        variables = variables | {"MBUS_TENANT_ID": str(tenant_id), "MBUS_TOKEN": demo_token(tenant_id, variables)}
        write_env_file(self.checkout.env_file, variables)
        begin = partial(
            start_simulator,
            variables,
            root=self.checkout.root,
            data=self.state.data,
            log=self.checkout.log("simulator"),
        )
        ensure("simulator", self.state, begin, tell=self.tell)
        self.tell("waiting for readings to arrive")
        return variables

    def _ensure(self, servers: Servers) -> dict[str, str]:
        """Start servers and services; a choice that fails does not take the place of one that came up before."""
        remembered, self.state.servers = self.remembered, servers
        self.state.save()
        try:
            return self._stack(servers).ensure()
        except Exception:
            self.state.servers = remembered or servers
            self.state.save()
            raise

    def _stack(self, servers: Servers) -> LocalStack | ContainerStack:
        if servers == CONTAINERS:
            return ContainerStack(self.checkout, self.settings.wanted_ports, self.tell)
        return LocalStack(self.checkout, self.state, servers, self.settings.wanted_ports, self.tell)
