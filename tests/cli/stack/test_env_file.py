"""`.mbus/env` means the same to a shell and to the commands."""

import stat
import subprocess
from pathlib import Path

import pytest

from cli.stack.env_file import load_env_file, read_env_file, write_env_file
from cli.stack.errors import StackError

AWKWARD = {
    "PLAIN": "http://127.0.0.1:8000",
    "EMPTY": "",
    "SPACES": "readings:read  alerts:read",
    "DOLLAR": "a$HOME`id`b\\c!d",
    "QUOTES": """it's "so" #1""",
    "EQUALS": "a=b=c",
    "DANISH": "Ærø Å",
}


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    write_env_file(tmp_path / "env", AWKWARD)
    assert read_env_file(tmp_path / "env") == AWKWARD


def test_a_shell_reads_the_same(tmp_path: Path) -> None:
    write_env_file(tmp_path / "env", AWKWARD)
    printed = subprocess.run(
        ["/bin/sh", "-c", f". {tmp_path}/env; printf '%s\\0' " + " ".join(f'"${name}"' for name in AWKWARD)],
        capture_output=True,
        check=True,
        env={},
    ).stdout.decode()
    assert printed.split("\0")[:-1] == list(AWKWARD.values())


def test_nobody_else_may_read_it_not_even_while_it_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("OLD=1\n")
    write_env_file(tmp_path / "env", AWKWARD)
    assert stat.S_IMODE((tmp_path / "env").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["env"]


def test_what_is_set_already_stays(tmp_path: Path) -> None:
    write_env_file(tmp_path / "env", {"A": "file", "B": "file"})
    environ = {"A": "own", "MBUS_ENV_FILE": f"{tmp_path}/env"}
    load_env_file(environ)
    assert environ == {"A": "own", "B": "file", "MBUS_ENV_FILE": f"{tmp_path}/env"}


def test_where_there_is_no_file_there_are_no_variables(tmp_path: Path) -> None:
    assert read_env_file(tmp_path / "env") == {}


def test_comments_and_empty_lines_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "env").write_text("# what it is\n\nA=1  # one\n")
    assert read_env_file(tmp_path / "env") == {"A": "1"}


@pytest.mark.parametrize("line", ["A", "A=1 B=2", "A='1"])
def test_another_kind_of_line_is_told_by_its_number(tmp_path: Path, line: str) -> None:
    (tmp_path / "env").write_text(f"GOOD=1\n{line}\n")
    with pytest.raises(StackError, match="env, line 2: is not of the form KEY=value"):
        read_env_file(tmp_path / "env")
