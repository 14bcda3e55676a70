"""Background processes are recognised, waited for, and stopped; another process with the same number is left alone."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from cli.stack.errors import StackError
from cli.stack.processes import BackgroundProcess, last_complaint, start, wait_for_end, wait_until

WAIT = "import time; time.sleep(600)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); " + WAIT
PARENT = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {DEAF!r}]); {DEAF}"


def begin(folder: Path, code: str) -> BackgroundProcess:
    return start([sys.executable, "-c", code], log=folder / "log", env=os.environ, folder=folder)


def says(folder: Path, word: str, times: int = 1) -> Any:
    return lambda: (folder / "log").read_text().count(word) >= times


def test_a_process_is_found_again_by_its_number_and_start(tmp_path: Path) -> None:
    process = begin(tmp_path, WAIT)
    again = BackgroundProcess(process.pid, process.since_boot)
    assert again.is_alive
    assert again.stop(patience_s=10)
    assert not process.is_alive


def test_another_process_that_has_the_number_now_is_neither_alive_nor_stopped(tmp_path: Path) -> None:
    process = begin(tmp_path, WAIT)
    earlier = BackgroundProcess(process.pid, process.since_boot - 100)
    assert not earlier.is_alive
    assert earlier.stop(patience_s=1)
    assert process.is_alive
    process.stop(patience_s=10)


def test_a_number_that_nobody_has_is_not_alive_and_needs_no_stop() -> None:
    nobody = BackgroundProcess(max(psutil.pids()) + 100_000, 1.0)
    assert not nobody.is_alive
    assert nobody.stop(patience_s=1)


def test_a_process_that_has_ended_and_was_not_collected_is_not_alive(tmp_path: Path) -> None:
    process = begin(tmp_path, "")
    known_by_number_only = replace(process, handle=None)
    # Its parent, this test, learns of the end without collecting it.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE
    assert not known_by_number_only.is_alive
    assert not process.is_alive


def test_a_process_that_is_deaf_to_the_request_is_killed_with_its_children(tmp_path: Path) -> None:
    process = begin(tmp_path, PARENT)
    wait_until(says(tmp_path, "deaf", times=2), process, name="it", log=tmp_path / "log", timeout_s=30)
    (child,) = psutil.Process(process.pid).children()
    assert not process.stop(patience_s=0.5)
    assert not process.is_alive
    assert wait_for_end([child], timeout_s=0) == []


def test_the_end_of_a_process_that_was_waited_for_is_told_with_its_last_complaint(tmp_path: Path) -> None:
    process = begin(tmp_path, "print('hello'); print('could not bind: address in use'); print('bye'); exit(1)")
    with pytest.raises(StackError, match=r"^it did not start: could not bind: address in use \(log: .*log\)$"):
        wait_until(lambda: False, process, name="it", log=tmp_path / "log", timeout_s=30)


def test_a_process_that_is_not_ready_in_time_is_told_too(tmp_path: Path) -> None:
    process = begin(tmp_path, WAIT)
    with pytest.raises(StackError, match="it was not ready within 0 s: it said nothing"):
        wait_until(lambda: False, process, name="it", log=tmp_path / "log", timeout_s=0.3)
    process.stop(patience_s=10)


def test_a_program_that_does_not_exist_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="/no/such/program cannot be started: No such file or directory"):
        start(["/no/such/program"], log=tmp_path / "log", env={}, folder=tmp_path)


def test_a_new_start_has_a_new_log_and_the_one_before_is_kept(tmp_path: Path) -> None:
    for word in ("first", "second"):
        process = begin(tmp_path, f"print({word!r}, flush=True); {WAIT}")
        wait_until(says(tmp_path, word), process, name="it", log=tmp_path / "log", timeout_s=30)
        process.stop(patience_s=10)
    assert (tmp_path / "log").read_text() == "second\n"
    assert (tmp_path / "log.1").read_text() == "first\n"


@pytest.mark.parametrize(
    ("log", "told"),
    [
        ("ok\nFATAL:  no space left on device\nshut down\n", "FATAL:  no space left on device"),
        ("starting\nstarted\n\n", "started"),
        ("", "it said nothing"),
    ],
)
def test_what_a_log_complains_of_last(tmp_path: Path, log: str, told: str) -> None:
    (tmp_path / "log").write_text(log)
    assert last_complaint(tmp_path / "log") == told
