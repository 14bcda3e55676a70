"""What a stack remembers outlives the command, and belongs to its checkout."""

import stat
from pathlib import Path

import pytest

from cli.stack.checkout import Checkout
from cli.stack.errors import StackError
from cli.stack.keys import load_keys
from cli.stack.processes import BackgroundProcess
from cli.stack.state import Servers, State, load_state


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    root = tmp_path / "checkout"
    (root / ".mbus" / "data").mkdir(parents=True)
    return Checkout(root)


def remembering(checkout: Checkout) -> State:
    state = load_state(checkout)
    state.data = checkout.folder / "data"
    state.servers = Servers("local", broker_url="amqp://me:secret@broker/")
    state.ports = {"query": 8000}
    state.processes = {"query": BackgroundProcess(4711, 12.5)}
    state.save()
    return state


def test_what_was_saved_is_loaded_again(checkout: Checkout) -> None:
    assert load_state(checkout).processes == {}
    assert load_state(checkout) != remembering(checkout) == load_state(checkout)


def test_nobody_else_may_read_it(checkout: Checkout) -> None:
    remembering(checkout)
    assert stat.S_IMODE(checkout.state_file.stat().st_mode) == 0o600


def test_a_copy_of_a_checkout_has_neither_its_processes_nor_its_ports(checkout: Checkout, tmp_path: Path) -> None:
    remembering(checkout)
    copy = Checkout(tmp_path / "copy")
    copy.folder.mkdir(parents=True)
    copy.state_file.write_bytes(checkout.state_file.read_bytes())
    state = load_state(copy)
    assert state.processes == {}
    assert state.ports == {}
    assert state.data == copy.default_data


def test_a_checkout_that_was_moved_keeps_them(checkout: Checkout, tmp_path: Path) -> None:
    before = remembering(checkout)
    moved = Checkout(tmp_path / "moved")
    checkout.root.rename(moved.root)
    state = load_state(moved)
    assert state.processes == before.processes
    assert state.servers == before.servers
    assert state.data == moved.default_data


@pytest.mark.parametrize("broken", [b"", b"{", b'{"checkout": 1}', b'{"checkout": "/", "data": "/", "pids": []}'])
def test_a_broken_state_is_one_line_that_names_the_file(checkout: Checkout, broken: bytes) -> None:
    checkout.state_file.write_bytes(broken)
    with pytest.raises(StackError, match=rf"^{checkout.state_file} cannot be read \(.*\): put it right or remove it$"):
        load_state(checkout)


def test_servers_are_said_in_words_without_their_secrets() -> None:
    assert str(Servers("docker")) == "in Docker containers"
    mixed = Servers("local", database_url="postgresql://me:secret@server/db")
    assert str(mixed) == "on this machine (PostgreSQL of yours, RabbitMQ embedded)"


def test_keys_are_made_once_and_for_the_owners_eyes(tmp_path: Path) -> None:
    keys = load_keys(tmp_path, name="ab12cd")
    assert load_keys(tmp_path, name="another") == keys
    assert keys.name == "ab12cd"
    assert len({keys.database, keys.broker, keys.service_logins, keys.jwt}) == 4
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600


def test_broken_keys_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("[]")
    with pytest.raises(StackError, match=r"keys\.json cannot be read"):
        load_keys(tmp_path, name="ab12cd")


def test_only_one_command_at_a_time_works_on_a_checkout(checkout: Checkout) -> None:
    with checkout.locked(), pytest.raises(StackError, match="another `mbus up` or `mbus down`"), checkout.locked():
        pass
    with checkout.locked():
        pass


def test_two_checkouts_have_two_names(tmp_path: Path) -> None:
    assert Checkout(tmp_path / "a").id != Checkout(tmp_path / "b").id
