"""Children that start in a moment: forks of a process that has imported what takes them seconds to import.

torch, transformers and what these bring along take a core about nine seconds to import, as long as all the
rest of a small training. The server imports them once, in the life of its parent, and forks a child for each
request. A request is four descriptors: what the child shall have as standard input, output and error, and a
socket, by which it is told what to run (JSON) and its parent is told its process id and exit status.

The server itself computes nothing, so it has no threads and no GPU that a fork could not take along. It ends
with its parent, whose end of the socket closes then, and its children watch their own parent
(`percasym.launch`).
"""

import gc
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from typing import IO, Any

from setproctitle import getproctitle, setproctitle

PRELOADED = (
    *("torch", "datasets", "percasym.models.tiny", "percasym.engines.transformers"),
    *("percasym.sft.trainer", "percasym.grpo.trainer"),
)
_NUMBER = struct.Struct("i")


class Forked:
    """A forked child, with what we use of `subprocess.Popen`."""

    def __init__(self, arguments: list[str], stderr: int, environment: Mapping[str, str]) -> None:
        self.returncode: int | None = None
        self._status, theirs = socket.socketpair()
        stdin, self._stdin = os.pipe()
        self._stdout, stdout = os.pipe()
        handed = [stdin, stdout, stderr, theirs.fileno()]
        try:
            _server().fork(handed)
        finally:
            os.close(stdin)
            os.close(stdout)
            theirs.close()
        request = {"arguments": arguments, "environment": dict(environment), "folder": os.getcwd()}
        self._status.sendall(json.dumps(request).encode())
        self._status.shutdown(socket.SHUT_WR)
        self.stdin: IO[str] = open(self._stdin, "w")  # noqa: SIM115
        self.stdout: IO[str] = open(self._stdout)  # noqa: SIM115
        pid = self._number()
        if pid is None:
            raise RuntimeError(f"{arguments[0]} was not started: the server that forks children has ended")
        self.pid = pid
        self._waiting = threading.Lock()

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, as `subprocess.Popen.returncode`.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        with self._waiting:
            if self.returncode is None:
                self._status.settimeout(timeout)
                try:
                    status = self._number()
                except TimeoutError:
                    raise subprocess.TimeoutExpired(str(self.pid), timeout or 0) from None
                # Without a server nobody knows how the child ended: it counts as killed.
                self.returncode = -signal.SIGKILL if status is None else os.waitstatus_to_exitcode(status)
                self._status.close()
        return self.returncode

    def _number(self) -> int | None:
        """What the child or the server says next; None if both are gone."""
        data = self._status.recv(_NUMBER.size, socket.MSG_WAITALL)
        return int(_NUMBER.unpack(data)[0]) if len(data) == _NUMBER.size else None


class _Server:
    """The server of this process, as its parent sees it."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        self.control, theirs = socket.socketpair()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "percasym.forkserver", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                "TOKENIZERS_PARALLELISM": "false",
                "PYTORCH_NVML_BASED_CUDA_CHECK": "1",  # whether there is a GPU, without taking hold of it
            },
        )
        theirs.close()
        self.lock = threading.Lock()

    def fork(self, descriptors: list[int]) -> None:
        with self.lock:
            socket.send_fds(self.control, [b"f"], descriptors)


_mine: _Server | None = None
_starting = threading.Lock()


def _server() -> _Server:
    global _mine
    with _starting:
        if _mine is None or _mine.owner != os.getpid() or _mine.process.poll() is not None:
            _mine = _Server()
        return _mine


def _serve(control: socket.socket) -> dict[str, Any] | None:
    """Forks until the parent is gone: then None. In a child: what it is to run."""
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    children: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([control.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, 1024)
            _reap(children)
        if control.fileno() not in ready:
            continue
        data, descriptors, _, _ = socket.recv_fds(control, 1, 4)
        if not data:
            return None
        *streams, talk = descriptors
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for one in (control, *children.values()):
                one.close()
            os.close(woken)
            os.close(waker)
            return _become_child(streams, talk)
        for descriptor in streams:
            os.close(descriptor)
        children[pid] = socket.socket(fileno=talk)


def _reap(children: dict[int, socket.socket]) -> None:
    while children:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        with children.pop(pid) as talk, suppress(OSError):  # nobody may want to know any more
            talk.send(_NUMBER.pack(status))


def _become_child(streams: list[int], talk: int) -> dict[str, Any]:
    os.setsid()
    for place, descriptor in enumerate(streams):
        os.dup2(descriptor, place)
        os.close(descriptor)
    with socket.socket(fileno=talk) as said:
        said.sendall(_NUMBER.pack(os.getpid()))  # by which its group can be ended, from now on
        request: dict[str, Any] = json.loads(b"".join(iter(lambda: said.recv(1 << 16), b"")))
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.path[:0] = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    return request


def main(arguments: list[str]) -> None:
    with socket.socket(fileno=int(arguments[0])) as control:
        getproctitle()  # it finds its place only while the environment is where the system has put it
        for name in PRELOADED:
            import_module(name)
        gc.freeze()  # what is never collected is never copied for that
        request = _serve(control)
    if request is None:
        return
    import torch

    from percasym.launch import become

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))  # which was read before the fork
    setproctitle(f"python -m {' '.join(request['arguments'])}")
    become(request["arguments"])


if __name__ == "__main__":
    main(sys.argv[1:])
