"""Shards: where they are worked on makes no difference, and what is finished is not done again."""

import os
import shutil
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from contextvars import copy_context
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest
from prefect import flow
from prefect.settings import PREFECT_API_URL

from percasym import generation, launch
from percasym.datasets import content_digest, split_names
from percasym.errors import PercasymError
from percasym.presets import load_preset
from percasym.sections import MachineSection
from percasym.tracking import Tracker
from tasks import progress
from tasks.generate import generate
from tasks.progress import Event
from tasks.shards import Record, over_shards

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture(autouse=True)
def patient_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine Ray's workers, which give way to all others by default, take minutes to start."""
    monkeypatch.setenv("RAY_worker_niceness", "0")


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Makes a module of a program, which finds its config in `config`, and returns its name.

    At its end it writes the file `out`, and a line to the file `log`.
    """
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.getcwd()]))

    def make(program: str = "") -> str:
        head = "import json, os, sys, time\nconfig = json.load(open(sys.argv[1]))\n"
        tail = """
            open(config["out"], "w").write(str(config["n"] ** 2))
            open(config["log"], "a").write(f"{config['n']}\\n")
            print(json.dumps({"done": config["n"]}))
        """
        (tmp_path / "a_shard.py").write_text(head + textwrap.dedent(program) + textwrap.dedent(tail))
        return "a_shard"

    return make


def configs(folder: Path, count: int) -> list[dict[str, Any]]:
    return [{"n": n, "out": str(folder / f"out {n}"), "log": str(folder / "log")} for n in range(count)]


def work(module: str, folder: Path, count: int = 4, **settings: Any) -> list[Record]:
    machine = MachineSection.model_validate({"workers": 2, **settings})
    with launch.slots(machine.workers):
        return list(over_shards(machine, module, configs(folder, count), folder / "shards"))


def log(folder: Path) -> list[int]:
    return sorted(int(line) for line in (folder / "log").read_text().split())


def test_every_shard_is_worked_on_once(child: Callable[[str], str], tmp_path: Path) -> None:
    records = work(child(""), tmp_path)
    assert sorted(records, key=lambda record: record["shard"]) == [{"shard": n, "done": n} for n in range(4)]
    assert [(tmp_path / f"out {n}").read_text() for n in range(4)] == ["0", "1", "4", "9"]
    assert log(tmp_path) == [0, 1, 2, 3]
    assert work(child("sys.exit(1)"), tmp_path) == [{"shard": n, "done": n} for n in range(4)]


def test_one_that_lost_its_result_or_is_of_another_config_is_done_again(
    child: Callable[[str], str], tmp_path: Path
) -> None:
    work(child(""), tmp_path)
    (tmp_path / "out 2").unlink()
    assert len(work(child(""), tmp_path)) == 4
    assert log(tmp_path) == [0, 1, 2, 2, 3]
    machine = MachineSection.model_validate({})
    changed = [{**config, "more": 1} for config in configs(tmp_path, 1)]
    assert list(over_shards(machine, child(""), changed, tmp_path / "shards")) == [{"shard": 0, "done": 0}]
    assert log(tmp_path) == [0, 0, 1, 2, 2, 3]


def test_one_that_is_damaged_is_done_again(child: Callable[[str], str], tmp_path: Path) -> None:
    work(child(""), tmp_path)
    (tmp_path / "out 2").write_text("5")
    records = list((tmp_path / "shards").glob("*/record.json"))
    finished = list((tmp_path / "shards").glob("*/finished"))
    records[0].write_text("")
    for path, content in zip(finished, ("", "\0"), strict=False):
        path.write_text(content)
    work(child("assert not os.path.exists(config['out'])"), tmp_path)
    assert [(tmp_path / f"out {n}").read_text() for n in range(4)] == ["0", "1", "4", "9"]
    assert len(log(tmp_path)) in (6, 7)  # the third may be one of those without a mark


def test_as_many_work_at_a_time_as_there_are_workers(child: Callable[[str], str], tmp_path: Path) -> None:
    name = child("""
        times = open(f"{config['out']} times", "w", buffering=1)
        times.write(f"{time.monotonic()} ")
        time.sleep(0.5)
        times.write(f"{time.monotonic()}")
    """)
    work(name, tmp_path, workers=2)
    spans = [tuple(map(float, path.read_text().split())) for path in tmp_path.glob("out * times")]
    together = [sum(begin <= moment < end for begin, end in spans) for moment, _ in spans]
    assert max(together) == 2


def test_progress_is_told_while_a_shard_works(child: Callable[[str], str], tmp_path: Path) -> None:
    name = child("print(json.dumps({'done': 'half'}), flush=True); time.sleep(2.5)")
    assert work(name, tmp_path, 1) == [{"shard": 0, "done": "half"}, {"shard": 0, "done": 0}]


def test_a_mistake_of_the_user_ends_the_work_and_loses_nothing(
    child: Callable[[str], str], tmp_path: Path
) -> None:
    name = child("""
        if config["n"] == 1:
            print("error: no such puzzle", file=sys.stderr)
            open(config["log"], "a").write("100\\n")
            sys.exit(2)
    """)
    with pytest.raises(PercasymError, match=r"^no such puzzle$"):
        work(name, tmp_path, 8)
    done = log(tmp_path)
    assert done.count(100) == 1  # no use in trying it again
    assert len(done) < 8
    work(child(""), tmp_path, 8)
    assert sorted({*log(tmp_path)}) == [*range(8), 100]
    assert len(log(tmp_path)) == 9


def test_a_child_that_dies_twice_is_a_failure(child: Callable[[str], str], tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="SIGKILL; the machine may have run out of memory"):
        work(child("os.kill(os.getpid(), 9)"), tmp_path, 1)


def test_an_interrupted_study_ends_its_shards_and_begins_no_more(
    child: Callable[[str], str], tmp_path: Path
) -> None:
    name = child("open(f\"{config['out']} began\", 'w'); time.sleep(600)")
    errors: list[str] = []

    def stage() -> None:
        machine = MachineSection.model_validate({"workers": 2})
        try:
            list(over_shards(machine, name, configs(tmp_path, 6), tmp_path / "shards"))
        except RuntimeError as error:
            errors.append(str(error))

    def interrupted() -> None:
        with launch.slots(2):
            thread.start()
            wait_until(lambda: len(list(tmp_path.glob("out * began"))) == 2)
            raise KeyboardInterrupt

    thread = threading.Thread(target=copy_context().run, args=(stage,))
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    thread.join(60)
    assert errors == ["the study is ending"]
    assert len(list(tmp_path.glob("out * began"))) == 2


@pytest.mark.parametrize("runner", ["ray", "dask"])
def test_a_runner_that_is_not_installed_is_one_line(
    runner: str, child: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, f"prefect_{runner}", None)
    with pytest.raises(PercasymError, match=rf"^runner={runner} needs .* pip install 'percasym\[{runner}\]'"):
        work(child(""), tmp_path, runner=runner)


@pytest.mark.parametrize("runner", ["threads", "ray", "dask"])
def test_a_child_that_dies_is_started_again_and_a_killed_process_leaves_nobody_behind(
    runner: str, child: Callable[[str], str], tmp_path: Path
) -> None:
    if runner != "threads":
        pytest.importorskip(f"prefect_{runner}")
    name = child(f"""
        if config["n"] == 0 and not os.path.exists({str(tmp_path / "died")!r}):
            open({str(tmp_path / "died")!r}, "w")
            os.kill(os.getpid(), 9)
        if config["n"] > 1 and not os.path.exists({str(tmp_path / "killed")!r}):
            open(f"{{config['out']}} began", "w")
            open(config["out"], "w").write("half")
            time.sleep(600)
    """)
    program = f"""
        from pathlib import Path
        from percasym import launch
        from percasym.sections import MachineSection
        from tasks.shards import over_shards
        if __name__ == "__main__":
            machine = MachineSection(workers=2, runner={runner!r})
            configs, folder = {configs(tmp_path, 4)!r}, Path({str(tmp_path / "shards")!r})
            with launch.slots(2):
                list(over_shards(machine, {name!r}, configs, folder))
    """
    environment = {**os.environ, "PREFECT_API_URL": str(PREFECT_API_URL.value())}
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(program))
    process = psutil.Popen([sys.executable, str(script)], env=environment)
    wait_until(lambda: len(list(tmp_path.glob("out * began"))) == 2)
    family = process.children(recursive=True)
    assert sum(name in " ".join(one.cmdline()) for one in family) == 2
    family = [one for one in family if "Agent" not in one.name()]  # Ray's own take another minute
    process.kill()
    process.wait()
    wait_until(lambda: not any(one.is_running() and one.status() != "zombie" for one in family))
    assert log(tmp_path) == [0, 1]
    (tmp_path / "killed").touch()
    assert sorted(record["shard"] for record in work(name, tmp_path, runner=runner)) == [0, 1, 2, 3]
    assert log(tmp_path) == [0, 1, 2, 3]


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 250
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


SIZES = {
    "train_items": 25,
    "validation_items": 4,
    "rl_items": 10,
    "test_items": 5,
    "shard_items": 10,
    "rl_arms": [],
}


@pytest.fixture
def generated(mlflow_tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """A function that runs the stage in a home folder of its own and gives its data set."""

    def make(name: str, **changes: Any) -> Path:
        home = tmp_path / name
        if not home.exists():
            home.mkdir()
            shutil.copy(mlflow_tables, home / "mlflow.db")
        monkeypatch.setenv("PERCASYM_HOME", str(home))
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
        monkeypatch.setattr(generation, "FILE_ROWS", 10)
        config = load_preset("mini", {**SIZES, **changes})

        @flow
        def study() -> Path:
            with launch.slots(config.workers):
                run = Tracker.current().start("study", {}).id
                return generate.submit(config, run).result().path

        return study()

    return make


def test_a_data_set_is_the_same_wherever_it_is_made(generated: Callable[..., Path]) -> None:
    alone = generated("alone", workers=1)
    assert sorted(path.name for path in (alone / "data").glob("train_sft*")) == [
        f"train_sft-0000{k}-of-00003.parquet" for k in range(3)
    ]
    expected = content_digest(alone)
    assert content_digest(generated("two", workers=2, shard_items=15)) == expected
    assert content_digest(generated("one shard", shard_items=44)) == expected
    for runner in ("ray", "dask"):
        if find_spec(f"prefect_{runner}"):
            assert content_digest(generated(runner, runner=runner)) == expected


def test_a_stage_that_was_broken_off_goes_on_to_the_same_data_set(
    generated: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, started = launch.run, list[str]()

    def breaking(module: str, config: Any, *rest: Any, **more: Any) -> Iterator[Record]:
        started.append(config["out"])
        if len(started) == 3:
            raise SystemExit
        return run(module, config, *rest, **more)

    monkeypatch.setattr(launch, "run", breaking)
    with pytest.raises(SystemExit):
        generated("broken", workers=1)
    broken = generated("broken", workers=1)
    assert len(started) == 6  # five shards, one of them twice
    assert content_digest(broken) == content_digest(generated("whole", shard_items=44))


@pytest.mark.parametrize("place", ["tasks.generate.show_samples", "percasym.datasets.write_card"])
def test_a_failure_when_all_shards_are_there_loses_none_of_them(
    generated: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    run, started = launch.run, list[str]()

    def counting(module: str, config: Any, *rest: Any, **more: Any) -> Iterator[Record]:
        started.append(config["out"])
        return run(module, config, *rest, **more)

    def failing(*arguments: Any, **options: Any) -> None:
        raise ConnectionError("unreachable")

    monkeypatch.setattr(launch, "run", counting)
    with monkeypatch.context() as patch:
        patch.setattr(place, failing)
        with pytest.raises((ConnectionError, PercasymError), match="unreachable"):
            generated("broken")
    made = generated("broken")
    assert len(started) == 5
    assert content_digest(made) == content_digest(generated("whole", shard_items=44))


def test_a_flipped_bit_in_a_finished_shard_is_mended(
    generated: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def failing(*arguments: Any, **options: Any) -> None:
        raise ConnectionError("unreachable")

    with monkeypatch.context() as patch:
        patch.setattr("percasym.datasets.gather_shards", failing)
        with pytest.raises(ConnectionError):
            generated("broken")
    shard = next((tmp_path / "broken" / "work").rglob("train_sft-10.parquet"))
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    assert content_digest(generated("broken")) == content_digest(generated("whole", shard_items=44))


def test_a_small_data_set_needs_no_child(
    generated: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "start", None)
    events: list[Event] = []
    monkeypatch.setattr(progress, "listeners", [events.append])
    folder = generated("small", shard_items=44)
    assert split_names(folder) == ["test", "train_rl", "train_sft", "validation"]
    shares = [event.share for event in events if event.state == "running"]
    assert shares == [0.0, *(n / 44 for n in range(1, 45))]
