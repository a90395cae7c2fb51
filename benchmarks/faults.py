"""What a study makes of faults: processes killed, a full disk, two at once, a cancelled run.

    python benchmarks/faults.py                 all of them; a quarter of an hour on two cores
    python benchmarks/faults.py --only flow     one

Each is done to a tiny study, whose results have to be those of an unbroken run in the end: no stage done
twice, no artifact torn. PostgreSQL and the full disk want root, and are left out without. docs/reliability.md
has the table.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import record

sys.path.insert(0, str(record.HERE.parent / "tests"))

from fixtures.team import team
from fixtures.tiny import arguments, form
from fixtures.up import running_up

from flows.server import prefect_server
from percasym.home import VARIABLE, Home

NAME = "faults"
STUDY_SECONDS = 900.0  # a study
FAMILY = 10.0  # seconds in which a cancelled run may leave processes behind
IN_A_ROW = 4  # kills of one study, before it may finish
OWN_SERVER = {"PREFECT_API_URL": ""}  # environment of a command that starts one
DISK = 4  # MB, too few for a study


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="*", choices=FAULTS, default=[])
    parser.add_argument("--kills", type=int, default=20, help="of the flow, at random moments")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    names = options.only or [name for name in FAULTS if os.geteuid() == 0 or name not in ROOT]
    path = record.HERE / "results" / "faults.json"
    kept = options.only and path.exists()
    found = json.loads(path.read_text())["figures"] if kept else {}
    # One Prefect server for all studies that are commands: theirs would take ten seconds to start each.
    with (
        tempfile.TemporaryDirectory() as folder,
        prefect_server(Home(Path(folder) / "server")) as wait,
    ):
        wait()
        home = Path(folder) / "unbroken"
        start = time.monotonic()
        said = finish(study(home))
        seconds = time.monotonic() - start
        assert said.returncode == 0, said.stderr
        unbroken = digests(home)
        found["unbroken"] = {"seconds": round(seconds, 1), "stages": len(unbroken)}
        for name in names:
            aside = Path(folder) / name
            if name == "flow":
                found[name] = killed_flow(
                    aside, unbroken, seconds, options.kills, random.Random(options.seed)
                )
            else:
                found[name] = FAULTS[name](aside, unbroken)
            print(name, found[name], flush=True)
            record.save("faults", found)


def killed_flow(
    folder: Path, unbroken: Mapping[str, str], seconds: float, kills: int, rng: random.Random
) -> dict[str, Any]:
    """kill -9 of the flow at random moments, some times in a row; then the same command once more."""
    moments = []
    for number in range(kills):
        home = folder / str(number // IN_A_ROW)
        process = study(home)
        moment = rng.uniform(0, seconds / 2)
        with suppress(subprocess.TimeoutExpired):
            process.wait(moment)
        process.kill()
        process.communicate()
        moments.append({"second": round(moment, 1), "stages finished then": len(digests(home))})
        print("flow", number, moments[-1], flush=True)
        if (number + 1) % IN_A_ROW == 0 or number + 1 == kills:
            said = finish(study(home))
            assert said.returncode == 0, said.stderr
            check(home, unbroken)
            shutil.rmtree(home)
    return {"kills": kills, "in a row": IN_A_ROW, "moments": moments}


def killed_prefect(folder: Path, unbroken: Mapping[str, str]) -> dict[str, Any]:
    return _killed_server(folder, unbroken, "flows.guard:prefect_app")


def killed_mlflow(folder: Path, unbroken: Mapping[str, str]) -> dict[str, Any]:
    return _killed_server(folder, unbroken, "mlflow server")


def _killed_server(folder: Path, unbroken: Mapping[str, str], command: str) -> dict[str, Any]:
    """kill -9 of a server of `percasym up` in the middle of a study, which it starts again."""
    with running_up(folder) as up:
        run = up.start("study", **form(NAME))
        wait_for(lambda: descendants(up.process.pid, "percasym.sft"))
        victims = descendants(up.process.pid, command)
        for victim in victims:
            victim.kill()
        state = up.ended(run)
        again = None
        if state["state_type"] != "COMPLETED":
            again = up.ended(up.start("study", **form(NAME)))
            assert again["state_type"] == "COMPLETED", again["state"]["message"]
        check(folder, unbroken)
        return {"study": told(state), "at the next start": told(again)}


def killed_own(folder: Path, unbroken: Mapping[str, str]) -> dict[str, Any]:
    """kill -9 of the Prefect server that `percasym study` has started for itself."""
    process = study(folder, OWN_SERVER)
    wait_for(lambda: descendants(process.pid, "percasym.sft"))
    victims = descendants(process.pid, "flows.guard:prefect_app")
    assert victims, "it has no server of its own"
    for victim in victims:
        victim.kill()
    said = finish(process)
    again = None
    if said.returncode:
        again = finish(study(folder, OWN_SERVER)).returncode
        assert again == 0
    check(folder, unbroken)
    return {"exit code": said.returncode, "said": said.stderr.splitlines()[-1], "at the next start": again}


def killed_postgres(folder: Path, unbroken: Mapping[str, str]) -> dict[str, Any]:
    """kill -9 of PostgreSQL, behind Prefect and MLflow, for ten seconds in the middle of a study."""
    folder.mkdir()
    with team(folder) as servers:
        run = servers.queue("study/study", form(NAME))
        wait_for(lambda: descendants(os.getpid(), "percasym.sft"))
        servers.postgres.kill()
        time.sleep(10)
        servers.postgres.start()
        first = servers.finished(run, STUDY_SECONDS)
        again = None
        if first["state"]["type"] != "COMPLETED":
            again = servers.finished(servers.queue("study/study", form(NAME)), STUDY_SECONDS)
            assert again["state"]["type"] == "COMPLETED", again["state"]["message"]
        return {"study": told(first), "at the next start": told(again)}


def full_disk(folder: Path, unbroken: Mapping[str, str]) -> dict[str, Any]:
    """A disk that is full in the middle of a study, and then larger."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}m", "tmpfs", str(folder)], check=True)
    try:
        said = finish(study(folder / "home"))
        assert said.returncode == 2, said.stderr
        message = said.stderr.splitlines()[-1]
        before = len(digests(folder / "home"))
        subprocess.run(["mount", "-o", "remount,size=512m", str(folder)], check=True)
        assert finish(study(folder / "home")).returncode == 0
        check(folder / "home", unbroken)
        return {
            "exit code": 2,
            "said": message.replace(str(folder), "FOLDER"),
            "stages finished before": before,
            "finished at the next start": True,
        }
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # MLflow still has its database open


def two_at_once(folder: Path, unbroken: Mapping[str, str]) -> dict[str, Any]:
    """Two identical studies started at the same moment."""
    both = [study(folder) for _ in range(2)]
    said = [finish(process) for process in both]
    assert [one.returncode for one in said] == [0, 0], [one.stderr for one in said]
    check(folder, unbroken)
    hits = sum(one.stderr.count(": hit") for one in said)
    return {"both finished": True, "stages done": len(unbroken), "stages found in the cache": hits}


def cancelled(folder: Path, unbroken: Mapping[str, str]) -> dict[str, Any]:
    """A run that is cancelled in the UI while it trains."""
    with running_up(folder) as up:
        run = up.start("study", **form(NAME, **{"pretrain.steps": 100_000}))
        wait_for(lambda: descendants(up.process.pid, "percasym.sft"))
        start = time.monotonic()
        up.api("POST", f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}, "force": False})
        while descendants(up.process.pid, "percasym.sft", "prefect.flow_engine", "prefect.engine"):
            assert time.monotonic() < start + 10 * FAMILY, "processes are left"
            time.sleep(0.1)
        seconds = time.monotonic() - start
        state = up.ended(run)
        assert state["state_type"] == "CANCELLED", state["state"]
        assert seconds < FAMILY, seconds
        return {"seconds until no process was left": round(seconds, 1)}


FAULTS: dict[str, Callable[..., dict[str, Any]]] = {
    "flow": killed_flow,
    "own": killed_own,
    "prefect": killed_prefect,
    "mlflow": killed_mlflow,
    "postgres": killed_postgres,
    "disk": full_disk,
    "twice": two_at_once,
    "cancel": cancelled,
}
ROOT = {"postgres", "disk"}


def study(home: Path, environment: Mapping[str, str] | None = None, **more: Any) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "flows.cli", "study", "--home", str(home), *arguments(NAME, **more)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    )


def finish(process: "subprocess.Popen[str]") -> "subprocess.CompletedProcess[str]":
    out, err = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def digests(home: Path) -> dict[str, str]:
    """The digest of each finished stage, all intact, by its key. Reports have none: they say how long
    trainings took."""
    from percasym.lifecycle.records import read_fields
    from tasks.stage import Reference

    found = {}
    for path in (home / "results").glob("*/*"):
        fields = read_fields(path.read_bytes())
        assert fields, f"{path} is no record"
        reference = Reference(**fields)
        assert reference.intact(), f"{reference.stage} {reference.label} is torn"
        found[f"{reference.stage} {reference.key}"] = "" if reference.stage == "report" else reference.digest
    return found


def check(home: Path, unbroken: Mapping[str, str]) -> None:
    """The results are those of an unbroken run, and each stage was done once."""
    found = digests(home)
    different = {name for name in found | unbroken if found.get(name) != unbroken.get(name)}
    assert not different, f"other results than an unbroken run's: {sorted(different)}"
    os.environ[VARIABLE] = str(home)
    from percasym.tracking import Tracker

    tracker = Tracker.current()
    runs = tracker.client.search_runs(
        [tracker.experiment], "attributes.status = 'FINISHED'", max_results=1000
    )
    done = Counter(run.data.tags["key"] for run in runs if "key" in run.data.tags)
    assert len(done) == len(unbroken), done
    assert set(done.values()) == {1}, done


def descendants(pid: int, *words: str) -> list[psutil.Process]:
    """The children, and theirs, whose command holds one of `words`."""
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            command = " ".join(process.cmdline())
            if any(word in command for word in words):
                found.append(process)
    return found


def wait_for(condition: Callable[[], Any], patience: float = 300) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "it did not come so far"
        time.sleep(0.05)


def told(state: Mapping[str, Any] | None) -> str | None:
    if state is None:
        return None
    message = state["state"].get("message") or ""
    return f"{state['state']['name']} {message}".strip()[:300]


if __name__ == "__main__":
    main()
