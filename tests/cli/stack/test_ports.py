"""Ports are found free, remembered, and refused when they were asked for and are taken."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.stack.errors import StackError
from cli.stack.ports import STEP, any_free, is_free, next_free
from cli.stack.programs import find_port
from cli.stack.state import State


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State(tmp_path / "state.json", tmp_path, tmp_path / "data")


def test_a_port_where_somebody_listens_is_not_free_and_is_again_afterwards() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)


def test_a_port_whose_last_connections_fade_away_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        # Who closes first keeps the port in TIME_WAIT.
        accepted.close()
        client.close()
    assert is_free(port)


def test_the_next_free_port_keeps_its_last_digit_and_passes_over_taken_ones(taken_port: int) -> None:
    found = next_free(taken_port, taken=frozenset({taken_port + STEP}))
    assert found >= taken_port + 2 * STEP
    assert (found - taken_port) % STEP == 0


def test_no_free_port_is_an_error() -> None:
    with pytest.raises(LookupError):
        next_free(65_530, taken=frozenset({65_530}))


def test_a_program_gets_its_usual_port_and_keeps_it(state: State) -> None:
    usual, other = any_free(), any_free()
    assert find_port("query", state, usual=usual, tell=print) == usual
    assert find_port("query", state, usual=other, tell=print) == usual


def test_a_port_that_was_taken_meanwhile_gives_way_and_that_is_told(state: State, taken_port: int) -> None:
    told: list[str] = []
    state.ports["query"] = taken_port
    port = find_port("query", state, usual=taken_port, tell=told.append)
    assert port == state.ports["query"] != taken_port
    assert told == [f"port {taken_port} is taken, query gets {port}"]


def test_two_programs_of_a_stack_never_get_the_same_port(state: State) -> None:
    usual = any_free()
    assert find_port("query", state, usual=usual, tell=print) != find_port("alerts", state, usual=usual, tell=print)


def test_a_port_that_was_asked_for_and_is_taken_is_refused(state: State, taken_port: int) -> None:
    with pytest.raises(StackError, match=f"MBUS_QUERY_PORT is {taken_port}, and another program has that port"):
        find_port("query", state, usual=8000, wanted=taken_port, tell=print)
