"""Heavy work in child processes: each in a group of its own, and none outlives the process that started it.

A child is this very file run as a program, or a fork of one that is ready (percasym.forkserver). It watches
its standard input and then becomes the module that was asked for. The parent holds the other end of that pipe
and never writes to it. When the parent ends, however it ends, the pipe closes and the child kills its
descendants and itself; so there is nothing to clean up after a `kill -9`.
"""

import json
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, Union

import psutil
from pydantic import BaseModel

from percasym.errors import DISK_IS_FULL, PercasymError, tells_of_full_disk
from percasym.forkserver import Forked

TAIL = 20  # lines of a failed child's standard error that are shown
END_SECONDS = 10.0  # between asking a child to end and killing it


Child = Union["subprocess.Popen[str]", Forked]
Gate = Callable[[int], AbstractContextManager[Mapping[str, str]]]


def _open(devices: int) -> AbstractContextManager[Mapping[str, str]]:
    return nullcontext({})


class Slots:
    """How many children may work at a time, and whether new ones may still start."""

    def __init__(self, number: int, gate: Gate = _open) -> None:
        self.free = threading.BoundedSemaphore(number)
        self.gate = gate
        self.closed = False
        self.busy: set[Child] = set()


_slots = Slots(1)


def run(
    module: str,
    config: BaseModel | Mapping[str, Any],
    folder: Path,
    *,
    ranks: int = 1,
    threads: int = 1,
    devices: int = 0,
) -> Iterator[dict[str, Any]]:
    """Runs `python -m MODULE CONFIG.json` and yields each line of JSON that it prints, as it prints it.

    Waits for a free slot first (see `slots`). The child ends when the iterator is closed before its end.

    Args:
        module: the module to run; with `ranks` > 1 it runs that many times, under torchrun.
        config: written to `folder`/config.json for the child to read.
        folder: also gets child.log, the child's standard error.
        threads: CPU threads of each rank.
        devices: GPUs that it takes, where there are any, for which it may have to wait too.

    Raises:
        PercasymError: the child found a mistake that the user can mend (exit code 2), or the disk is full.
        RuntimeError: it failed otherwise; the message ends with the last lines of its standard error.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings, log = folder / "config.json", folder / "child.log"
    fields = config.model_dump(mode="json") if isinstance(config, BaseModel) else config
    settings.write_text(json.dumps(fields, indent=2))
    arguments = [module, str(settings)]
    if ranks > 1:
        arguments = ["torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}", "-m", *arguments]
    slots = _slots
    gate = slots.gate if devices else _open
    with slots.free, gate(devices) as shown, log.open("w") as errors:
        if slots.closed:
            raise RuntimeError(f"{module} was not started: the study is ending")
        process: Child
        if ranks > 1 or shown:  # torchrun starts its own children, and a GPU is for a process of its own
            process = start(
                arguments, stdout=subprocess.PIPE, stderr=errors, threads=threads, environment=shown
            )
        else:
            process = Forked(arguments, errors.fileno(), _environment(threads))
        slots.busy.add(process)
        try:
            assert process.stdout is not None
            for line in process.stdout:
                with suppress(json.JSONDecodeError):  # libraries chat on standard output too
                    record = json.loads(line)
                    if isinstance(record, dict):
                        yield record
            code = process.wait()
        finally:
            end(process)
            slots.busy.discard(process)
    if code:
        raise _failure(module, code, log.read_text(errors="replace").splitlines())


def start(
    arguments: list[str],
    *,
    stdout: int,
    stderr: Any,
    threads: int = 1,
    environment: Mapping[str, str] | None = None,
) -> "subprocess.Popen[str]":
    """Starts `python -m ARGUMENTS...` as a child that ends with us; `end` ends it earlier.

    Args:
        environment: goes over our own.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "percasym.launch", *arguments],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        text=True,
        start_new_session=True,
        env={**_environment(threads), **(environment or {})},
    )


def _environment(threads: int) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}


def end(process: Child) -> None:
    """Ends a child and all of its descendants, and waits for it."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def current_slots() -> Slots:
    """Those of the study that is running. They stay closed for whoever holds them when it has ended early."""
    return _slots


@contextmanager
def slots(number: int, gate: Gate = _open) -> Iterator[None]:
    """Within, at most `number` children of `run` work at a time; an error that leaves it ends all of them.

    Args:
        gate: makes of a number of devices a context that is entered when they are free, and left when they
            are no longer needed, as work outside of this process may want the same ones. What it yields goes
            over the child's environment.
    """
    global _slots
    before, _slots = _slots, Slots(number, gate)
    mine = _slots
    try:
        yield
    except BaseException:
        mine.closed = True
        for process in list(mine.busy):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        raise
    finally:
        _slots = before


def _failure(module: str, code: int, log: list[str]) -> Exception:
    tail = "\n".join(log[-TAIL:])
    if code == 2 and log:
        return PercasymError(log[-1].removeprefix("Error: ").removeprefix("error: "))
    if tells_of_full_disk(tail):
        return PercasymError(DISK_IS_FULL)
    if code < 0:
        name = signal.Signals(-code).name
        hint = "; the machine may have run out of memory" if name == "SIGKILL" else ""
        return RuntimeError(f"{module} was ended by {name}{hint}\n{tail}")
    return RuntimeError(f"{module} failed with exit code {code}\n{tail}")


def _watch() -> None:
    """Waits for the parent to end, then kills this process and all of its descendants."""
    os.read(0, 1)
    this = psutil.Process()
    for process in [*this.children(recursive=True), this]:  # torchrun gives its workers sessions of their own
        with suppress(psutil.NoSuchProcess):
            process.kill()


def become(arguments: list[str]) -> None:
    """Runs `python -m ARGUMENTS...` here, for as long as the parent lives."""
    threading.Thread(target=_watch, daemon=True).start()
    sys.argv = arguments
    sys.path.insert(0, "")
    runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    become(sys.argv[1:])
