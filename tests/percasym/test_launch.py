"""Children: what they say, how they fail, and that none is left behind."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from percasym import launch
from percasym.errors import DISK_IS_FULL, PercasymError


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Makes a module of a program, which finds its config in `config`, and returns its name."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.getcwd()]))

    def make(program: str) -> str:
        head = "import json, os, subprocess, sys, time\nconfig = json.load(open(sys.argv[1]))\n"
        (tmp_path / "a_child.py").write_text(head + textwrap.dedent(program))
        return "a_child"

    return make


def test_yields_each_line_of_json_and_skips_chatter(child: Callable[[str], str], tmp_path: Path) -> None:
    name = child("""
        print("loading ...")
        print(json.dumps({"n": config["n"], "threads": os.environ["OMP_NUM_THREADS"]}))
        print(3)
    """)
    assert list(launch.run(name, {"n": 7}, tmp_path, threads=3)) == [{"n": 7, "threads": "3"}]


def test_a_mistake_of_the_user_comes_through_as_it_is(child: Callable[[str], str], tmp_path: Path) -> None:
    name = child(
        "print('a warning', file=sys.stderr); print('error: no such model', file=sys.stderr); sys.exit(2)"
    )
    with pytest.raises(PercasymError, match=r"^no such model$"):
        list(launch.run(name, {}, tmp_path))


def test_a_failure_shows_the_end_of_what_the_child_said(child: Callable[[str], str], tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"exit code 1\n(.|\n)*ZeroDivisionError"):
        list(launch.run(child("1 / 0"), {}, tmp_path))


def test_a_child_that_is_killed_is_told_from_one_that_fails(
    child: Callable[[str], str], tmp_path: Path
) -> None:
    with pytest.raises(RuntimeError, match="SIGKILL; the machine may have run out of memory"):
        list(launch.run(child("os.kill(os.getpid(), 9)"), {}, tmp_path))


def test_a_full_disk_is_said_in_one_line(child: Callable[[str], str], tmp_path: Path) -> None:
    with pytest.raises(PercasymError, match=DISK_IS_FULL):
        list(launch.run(child("f = open('/dev/full', 'w'); f.write('x'); f.flush()"), {}, tmp_path))


def test_closing_the_iterator_ends_the_child_and_its_descendants(
    child: Callable[[str], str], tmp_path: Path
) -> None:
    lines = launch.run(child(FAMILY), {}, tmp_path)
    pids = next(lines)["pids"]
    lines.close()  # type: ignore[attr-defined]
    wait_until(lambda: not running(pids))  # a moment later on a busy machine, but without anybody's doing


def test_children_die_with_a_parent_that_is_killed(child: Callable[[str], str], tmp_path: Path) -> None:
    program = f"""
        from pathlib import Path
        from percasym import launch
        for line in launch.run({child(FAMILY)!r}, {{}}, Path({str(tmp_path)!r})):
            print(*line["pids"], flush=True)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 2
    assert running(pids) == pids
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_until(lambda: not running(pids))


def test_children_are_forks_of_one_process_that_knows_torch(
    child: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = child("""
        known = "torch" in sys.modules
        import torch
        said = {"parent": os.getppid(), "known": known, "threads": torch.get_num_threads()}
        said["title"] = open("/proc/self/cmdline").read()
        print(json.dumps({**said, "folder": os.getcwd(), "variable": os.environ.get("A_VARIABLE")}))
    """)
    (first,) = launch.run(name, {}, tmp_path, threads=2)
    monkeypatch.setenv("A_VARIABLE", "x")
    monkeypatch.chdir(tmp_path)
    (second,) = launch.run(name, {}, tmp_path)
    assert first["parent"] == second["parent"] != os.getpid()
    assert f"python -m {name}" in first["title"]
    assert first["known"]
    assert (first["threads"], second["threads"]) == (2, 1)
    assert (first["variable"], second["variable"]) == (None, "x")
    assert (Path(first["folder"]), Path(second["folder"])) == (Path(__file__).parents[2], tmp_path)


def test_children_that_fork_at_once_are_told_apart(child: Callable[[str], str], tmp_path: Path) -> None:
    name = child("print(json.dumps({'n': config['n']})); sys.exit(config['n'] % 2)")
    ended: dict[int, list[dict[str, int]] | None] = {}

    def work(number: int) -> None:
        try:
            ended[number] = list(launch.run(name, {"n": number}, tmp_path / str(number)))
        except RuntimeError:
            ended[number] = None

    with launch.slots(8):
        at_once(work, 24)
    assert ended == {number: None if number % 2 else [{"n": number}] for number in range(24)}


def test_without_the_process_that_forks_a_child_is_ended_and_the_next_one_works(
    child: Callable[[str], str], tmp_path: Path
) -> None:
    lines = launch.run(child(FAMILY), {}, tmp_path)
    pids = next(lines)["pids"]
    server = psutil.Process(pids[0]).ppid()
    os.kill(server, signal.SIGKILL)
    wait_until(lambda: not running([server]))
    lines.close()  # type: ignore[attr-defined]
    wait_until(lambda: not running(pids))
    assert list(launch.run(child("print(json.dumps({'n': 1}))"), {}, tmp_path)) == [{"n": 1}]


def test_no_more_children_work_than_there_are_slots(child: Callable[[str], str], tmp_path: Path) -> None:
    name = child("""
        log = open(config["log"], "a", buffering=1)
        log.write("in ")
        time.sleep(0.3)
        log.write("out ")
    """)
    log = tmp_path / "log"

    def work(number: int) -> None:
        list(launch.run(name, {"log": str(log)}, tmp_path / str(number)))

    with launch.slots(1):
        at_once(work, 3)
    assert log.read_text() == "in out " * 3


def test_an_error_ends_all_children_and_starts_no_more(child: Callable[[str], str], tmp_path: Path) -> None:
    name = child("print(json.dumps({'pids': [os.getpid()]}), flush=True); time.sleep(600)")
    pids: list[int] = []
    errors: list[Exception] = []

    def work(number: int) -> None:
        try:
            for line in launch.run(name, {}, tmp_path / str(number)):
                pids.extend(line["pids"])
        except RuntimeError as error:
            errors.append(error)

    def interrupted() -> None:
        with launch.slots(1):
            for thread in threads:
                thread.start()
            wait_until(lambda: bool(pids))
            raise KeyboardInterrupt

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    for thread in threads:
        thread.join(60)
    wait_until(lambda: not running(pids))
    assert len(pids) == 1
    assert sorted("was not started" in str(error) for error in errors) == [False, True]


FAMILY = """
    # A grandchild in a session of its own, as torchrun's workers are.
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    print(json.dumps({"pids": [os.getpid(), other.pid]}), flush=True)
    time.sleep(600)
"""


def at_once(work: Callable[[int], None], times: int) -> None:
    """Calls `work` with each number below `times`, in threads of their own, and waits for all."""
    threads = [threading.Thread(target=work, args=(number,)) for number in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def running(pids: list[int]) -> list[int]:
    return [
        pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    ]


def wait_until(true: Callable[[], bool]) -> None:
    while not true():
        time.sleep(0.05)
