"""Work on many shards: a child process for each, and a Prefect task for each child, on the runner of choice.

    threads   the children of this process
    ray       a Ray cluster: the one that RAY_ADDRESS names, or one that is started here for this work
    dask      the same with Dask and DASK_SCHEDULER_ADDRESS

Wherever it runs, a child sees the same files under the same names, is of the same environment, and ends with
whoever started it.
"""

import json
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from prefect import Flow, task
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext, TaskRunContext
from prefect.futures import PrefectFuture
from prefect.results import ResultStore
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from percasym import launch
from percasym.errors import PercasymError
from percasym.folders import remove, write_text
from percasym.seals import file_digest, file_digests
from percasym.sections import MachineSection
from percasym.seeding import digest

ADDRESSES = {"ray": "RAY_ADDRESS", "dask": "DASK_SCHEDULER_ADDRESS"}  # environment variables
PERIOD = 1.0  # seconds between two looks at how far the shards are

Record = dict[str, Any]


@dataclass(frozen=True)
class Shard:
    """A child that has a piece of the work, and its folder: its config and log, and how far it is."""

    number: int
    module: str
    config: Mapping[str, Any]
    folder: Path

    @property
    def out(self) -> Path:
        return Path(self.config["out"])

    @property
    def finished(self) -> bool:
        """Whether its child has ended well, and what it has made is still what it was."""
        try:
            return (self.folder / "finished").read_text() == self.content()
        except (OSError, ValueError):
            return False

    def content(self) -> str:
        """A digest of what it has made."""
        return digest(file_digests(self.out) if self.out.is_dir() else file_digest(self.out))

    def record(self) -> Record:
        """The last line that it has printed, if any, with its number as "shard"."""
        try:
            said: Record = json.loads((self.folder / "record.json").read_bytes())
        except (OSError, ValueError):
            said = {}
        return {**said, "shard": self.number}


def over_shards(
    machine: MachineSection, module: str, configs: Sequence[Mapping[str, Any]], folder: Path
) -> Iterator[Record]:
    """Runs `python -m MODULE CONFIG.json` for each config, `machine.workers` at a time where `machine.runner`
    says, and yields what they print until all have ended well.

    A shard that has ended well is not done again, also not by a later process that finds it in `folder`,
    unless it is damaged since. One whose child died is tried once more. After a failure no other shard is
    begun.

    Args:
        configs: plain JSON, of which `out` names the file or folder that is there when the child has ended.
            All that the result depends on has to be in it.
        folder: of this work alone, and the same from one attempt to the next.

    Yields:
        Lines of JSON with the number of their config as "shard": the last one of each shard, and of the
        others as many as it takes to see it move.

    Raises:
        PercasymError: a child found a mistake that the user can mend, or the runner is not installed.
        RuntimeError: a child failed otherwise, twice.
    """
    waiting = deque[Shard]()
    for number, config in enumerate(configs):
        shard = Shard(number, module, config, folder / digest(module, config)[:16])
        if shard.finished:
            yield shard.record()
        else:
            if (shard.folder / "finished").exists():
                remove(shard.out)  # else the child would take it for its own
            waiting.append(shard)
    if waiting:
        yield from _work(machine, waiting)


def _work(machine: MachineSection, waiting: deque[Shard]) -> Iterator[Record]:
    running: dict[PrefectFuture[None], Shard] = {}
    ended = SimpleQueue[PrefectFuture[None]]()
    told: dict[int, Record] = {}
    died: set[int] = set()
    failures: list[Exception] = []
    slots = launch.current_slots()
    with _runner(machine) as runner:
        while waiting or running:
            if slots.closed:
                raise RuntimeError("the study is ending")
            while waiting and len(running) < machine.workers:
                shard = waiting.popleft()
                with _light():
                    future = runner.submit(work_on, {"shard": shard, "threads": machine.threads})
                running[future] = shard
                future.add_done_callback(ended.put)
            try:
                future = ended.get(timeout=PERIOD)
            except Empty:
                for shard in running.values():
                    record = shard.record()
                    if len(record) > 1 and record != told.get(shard.number):
                        told[shard.number] = record
                        yield record
                continue
            shard = running.pop(future)
            try:
                future.result()
            except Exception as error:
                if isinstance(error, PercasymError) or failures or shard.number in died:
                    failures.append(error)
                    waiting.clear()
                else:
                    died.add(shard.number)
                    waiting.appendleft(shard)
            else:
                if (record := shard.record()) != told.get(shard.number):
                    yield record
    if failures:
        raise failures[0]


@task(task_run_name="shard {shard.number}", persist_result=False, cache_policy=NO_CACHE)
def work_on(shard: Shard, threads: int) -> None:
    """Runs the child of a shard, and writes down what it prints for those who cannot hear it."""
    finished, record = shard.folder / "finished", shard.folder / "record.json"
    for stale in (finished, record):
        stale.unlink(missing_ok=True)
    for line in launch.run(shard.module, shard.config, shard.folder, threads=threads):
        write_text(record, json.dumps(line))
    write_text(finished, shard.content())


def _runner(machine: MachineSection) -> TaskRunner[Any]:
    """The task runner, not started yet."""
    kind, workers = machine.runner, machine.workers
    if kind == "threads":
        return ThreadPoolTaskRunner(max_workers=workers)
    try:
        package = import_module(f"prefect_{kind}")
    except ImportError:
        raise PercasymError(
            f"runner={kind} needs prefect-{kind}: pip install 'percasym[{kind}]', or take runner=threads"
        ) from None
    address = os.environ.get(ADDRESSES[kind])
    runner: TaskRunner[Any]
    local: dict[str, Any]
    if kind == "ray":
        local = {} if address else {"num_cpus": workers, "include_dashboard": False}
        quiet = {"log_to_driver": False, "logging_level": "ERROR"}
        runner = package.RayTaskRunner(address or "local", init_kwargs={**local, **quiet})
    else:
        # One thread each, as one child at a time is what a process of ours runs.
        local = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
        runner = package.DaskTaskRunner(address=address, cluster_kwargs=None if address else local)
    return runner


@contextmanager
def _light() -> Iterator[None]:
    """Makes the flow run and the stage's task run, where we are in them, light enough to be sent along.

    A runner of another process sends both with each task. The flow itself and the stage hold locks, which
    cannot be sent, and the task wants no more than to appear under them in the UI.
    """
    store = ResultStore()
    with ExitStack() as stack:
        if flow_run := FlowRunContext.get():
            change = {"flow": Flow(_nothing, name="shards"), "parameters": {}, "result_store": store}
            stack.enter_context(flow_run.model_copy(update=change))
        if task_run := TaskRunContext.get():
            change = {"task": work_on, "parameters": {}, "result_store": store}
            stack.enter_context(task_run.model_copy(update=change))
        yield


def _nothing() -> None:
    pass
