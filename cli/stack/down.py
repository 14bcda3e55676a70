"""Stopping a stack: only what `mbus up` started, and its data only when that is asked for."""

import shutil
from collections.abc import Callable

from cli.stack import compose
from cli.stack.checkout import ROOTS_DATA, Checkout
from cli.stack.errors import StackError
from cli.stack.programs import ENDINGS, end
from cli.stack.state import State, load_state
from cli.stack.strays import end_strays


def stop_stack(checkout: Checkout, *, tell: Callable[[str], None]) -> None:
    """Stop what runs; its data stays for the next `mbus up`."""
    with checkout.locked():
        if not _stop(checkout, load_state(checkout), tell):
            tell("Nothing ran.")


def remove_stack(checkout: Checkout, *, tell: Callable[[str], None]) -> None:
    """Stop what runs and remove its data, secrets and logs; servers of yours keep what was written to them."""
    with checkout.locked():
        state = load_state(checkout)
        _stop(checkout, state, tell)
        if checkout.compose_env_file.exists():
            _remove_containers(checkout, state, tell)
        if state.data.exists():
            tell(f"removing {state.data}")
            shutil.rmtree(state.data)
            if state.data.parent == ROOTS_DATA and not any(ROOTS_DATA.iterdir()):
                ROOTS_DATA.rmdir()
        servers = state.servers
        if servers is not None and (servers.database_url or servers.broker_url):
            tell("servers of yours keep what was written to them")
    shutil.rmtree(checkout.folder)


def _stop(checkout: Checkout, state: State, tell: Callable[[str], None]) -> bool:
    """Stop the processes, and the containers where it runs in such; False where nothing ran."""
    ran = False
    for name in ENDINGS:
        if state.is_alive(name):
            tell(f"stopping {name}")
            ran = True
            if not end(name, state):
                tell(f"{name} did not end in time and was killed")
    ran = end_strays(state.data, noted=(), tell=tell) or ran
    state.processes.clear()
    if checkout.state_file.exists():
        state.save()
    if state.servers is not None and state.servers.mode == "docker" and compose.status(checkout.root):
        tell("stopping the containers")
        ran = True
        compose.down(checkout.root, log=checkout.log("compose"))
    return ran


def _remove_containers(checkout: Checkout, state: State, tell: Callable[[str], None]) -> None:
    why = compose.find_engine()
    if why is None:
        tell("removing containers, volumes and images")
        compose.clean(checkout.root, checkout.compose_env_file, log=checkout.log("compose"))
    elif state.servers is not None and state.servers.mode == "docker":
        raise StackError(f"the stack's data is in Docker and cannot be removed: {why}")
