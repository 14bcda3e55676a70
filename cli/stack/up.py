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
from shared.clock import utc_now

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What runs after `bring_up`: its variables, and what was seen to arrive."""

    servers: Servers
    variables: dict[str, str]
    arrivals: Arrivals
    changed: bool


def bring_up(checkout: Checkout, settings: UpSettings, *, tell: Tell) -> Outcome:
    """Start what does not run, and wait until readings arrive; a stack that runs is left as it is."""
    with checkout.locked():
        since = utc_now()
        state = load_state(checkout)
        servers = _choose(checkout, state, settings, tell)
        runs = state.is_alive("simulator") and _stack(checkout, state, servers, settings, tell).all_run()
        variables, servers = _ensure_servers_and_services(checkout, state, servers, settings, tell)
        earlier = read_env_file(checkout.env_file)
        if not (runs and "MBUS_TOKEN" in earlier):
            tell("registering the demo tenant")
            tenant_id = register_demo(variables["MBUS_DATABASE_URL"])
            variables |= {"MBUS_TENANT_ID": str(tenant_id), "MBUS_TOKEN": demo_token(tenant_id, variables)}
            write_env_file(checkout.env_file, variables)
            log = checkout.log("simulator")
            ensure("simulator", state, partial(start_simulator, variables, root=checkout.root, log=log), tell=tell)
            tell("waiting for readings to arrive")
        variables = earlier | variables
        logs = checkout.log("simulator").parent
        arrivals = wait_for_arrivals(
            variables["MBUS_QUERY_URL"], variables["MBUS_TOKEN"], since=None if runs else since, log=str(logs)
        )
    return Outcome(servers, variables, arrivals, changed=not runs)


def _choose(checkout: Checkout, state: State, settings: UpSettings, tell: Tell) -> Servers:
    """The servers to run on; `StackError` when the stack runs in another way."""
    servers = choose_servers(settings, _proven(checkout, state), tell=tell)
    if state.servers is not None and state.servers.mode != servers.mode and state.alive:
        raise StackError(f"the stack runs {state.servers}: `make down` first, then it can start {servers}")
    return servers


def _proven(checkout: Checkout, state: State) -> Servers | None:
    """The servers that a stack came up on before, and that may have data now."""
    return state.servers if checkout.env_file.exists() else None


def _stack(
    checkout: Checkout, state: State, servers: Servers, settings: UpSettings, tell: Tell
) -> LocalStack | ContainerStack:
    if servers == CONTAINERS:
        return ContainerStack(checkout, settings.wanted_ports, tell)
    return LocalStack(checkout, state, servers, settings.wanted_ports, tell)


def _ensure_servers_and_services(
    checkout: Checkout, state: State, servers: Servers, settings: UpSettings, tell: Tell
) -> tuple[dict[str, str], Servers]:
    """Start them on the servers that were chosen; where containers fail the first time, on embedded ones."""
    remembered = _proven(checkout, state)
    state.servers = servers
    state.save()
    try:
        return _stack(checkout, state, servers, settings, tell).ensure(), servers
    except ComposeError as error:
        if settings.up_mode == "docker" or remembered == CONTAINERS:
            raise
        tell(f"not in containers: {error}")
    state.servers = EMBEDDED
    state.save()
    return _stack(checkout, state, EMBEDDED, settings, tell).ensure(), EMBEDDED
