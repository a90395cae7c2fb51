"""Faults at named places: before or after each function that a study goes through and that writes, a kill, a
full disk or a network that is gone; then the same command again.

    python benchmarks/places.py                 200 faults, about an hour on two cores
    python benchmarks/places.py --faults 20     fewer, spread over the study
    python benchmarks/places.py --store s3      the artifacts in an object store

A first study writes down which functions it calls, in whichever process, and in which order. Then studies are
run with one fault each, one after the other in one home: what one leaves behind the next one goes on from.
When a study has finished all the same, or a place is never reached again because its stage is finished, the
results are compared with those of the unbroken study, and a new home is begun.
"""

import argparse
import itertools
import os
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import faults
import record
from fixtures.process import Server

from flows.server import answers, free_port, prefect_server
from percasym import launch
from percasym.home import Home

INJECTION = record.HERE / "injection"
# Who reads, writes, moves, uploads and tells; not who computes.
WRITE = (
    *("tasks.", "flows.", "percasym.datasets", "percasym.dataset_card", "percasym.distillation"),
    *("percasym.evaluation", "percasym.folders", "percasym.generation", "percasym.grpo.rollouts"),
    *("percasym.grpo.trainer", "percasym.journal", "percasym.launch", "percasym.models", "percasym.report"),
    *("percasym.seals", "percasym.sft.trainer", "percasym.tracking", "percasym.training"),
)
FAULTS = tuple(itertools.product(("before", "after"), ("kill", "disk", "network")))
SETTINGS = {
    "shard_items": 8,  # several shards
    "rl_arms": "outcome,surrogate:teacher:0.5",  # both trainers, and captions
    "rl_items": 8,
    "grpo.prompts": 4,
    "rl_teacher": "token_mean",
    "checkpoint_every": 1,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--store", choices=("folder", "s3"), default="folder")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as temporary,
        store(options.store) as environment,
        prefect_server(Home(Path(temporary) / "server")) as wait,
    ):
        wait()
        folder = Path(temporary)
        unbroken, places = recorded(folder, environment)
        chosen = spread(places, options.faults)
        told = Counter[str]()
        lines = []
        for line in chained(folder, chosen, unbroken, environment):
            told[line["then"]] += 1
            lines.append(line)
            print(len(lines), *line.values(), flush=True)
        figures = {
            "places": len(places),
            "faults": len(chosen),
            "at distinct places": len({place for place, _, _ in chosen}),
            "stages": len(unbroken),
            "by what came of it": told,
            "faults one by one": lines,
        }
        name = "places" if options.store == "folder" else f"places-{options.store}"
        print(record.save(name, figures))


def recorded(folder: Path, environment: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The results of an unbroken study, and the places that it went through, in their order."""
    log = folder / "places"
    said = faults.finish(run(folder / "unbroken", {**environment, "FAULT_RECORD": str(log)}))
    assert said.returncode == 0, said.stderr
    places = list(dict.fromkeys(log.read_text().split()))
    return faults.digests(folder / "unbroken"), [place for place in places if place.startswith(WRITE)]


def spread(places: list[str], number: int) -> list[tuple[str, str, str]]:
    """As many faults, at as many places as there are, each in its turn."""
    rounds = (
        [(place, *FAULTS[(n + turn) % len(FAULTS)]) for n, place in enumerate(places)]
        for turn in range(len(FAULTS))
    )
    every = list(itertools.chain.from_iterable(rounds))
    some = every[: max(number, 1)] if number >= len(places) else every[: len(places) : len(places) // number]
    order = {place: n for n, place in enumerate(places)}
    return sorted(some[:number], key=lambda fault: order[fault[0]])


def chained(
    folder: Path,
    chosen: list[tuple[str, str, str]],
    unbroken: Mapping[str, str],
    environment: Mapping[str, str],
) -> Iterator[dict[str, Any]]:
    """Does each fault to a study, and says what came of it."""
    numbers = itertools.count()
    home, broken = folder / f"home-{next(numbers)}", False
    waiting = list(chosen)
    while waiting:
        place, when, kind = waiting.pop(0)
        mark = folder / "mark"
        mark.unlink(missing_ok=True)
        armed = {**environment, "FAULT_AT": f"{place},{when},{kind},{mark}"}
        began = time.monotonic()
        said = faults.finish(run(home, armed))
        fired = mark.exists()
        if fired:
            then = "went on" if said.returncode == 0 else "stopped"
            line = {"place": place, "when": when, "what": kind, "then": then}
            yield line | {"seconds": round(time.monotonic() - began, 1)}
        if said.returncode == 0:
            check(home, unbroken, environment)
            if fired or broken:
                home, broken = folder / f"home-{next(numbers)}", False
                waiting = waiting if fired else [(place, when, kind), *waiting]
                continue
            line = {"place": place, "when": when, "what": kind, "then": "not reached"}
            yield line | {"seconds": round(time.monotonic() - began, 1)}
            home = folder / f"home-{next(numbers)}"
            continue
        assert fired, f"without a fault it fails:\n{said.stderr[-3000:]}"
        broken = True
    said = faults.finish(run(home, environment))
    assert said.returncode == 0, said.stderr[-3000:]
    check(home, unbroken, environment)


def check(home: Path, unbroken: Mapping[str, str], environment: Mapping[str, str]) -> None:
    faults.check(home, unbroken)
    left = [path for path in (home / "work").glob("*/*") if path.parent.name != "fetched"]
    assert not left, f"left behind: {left}"


def run(home: Path, environment: Mapping[str, str]) -> "subprocess.Popen[str]":
    path = os.pathsep.join(filter(None, [str(INJECTION), os.environ.get("PYTHONPATH")]))
    return faults.study(home, {**environment, "PYTHONPATH": path}, **SETTINGS)


@contextmanager
def store(kind: str) -> Iterator[dict[str, str]]:
    """The environment of a study whose artifacts go to a folder, or to an S3 server that runs meanwhile."""
    if kind == "folder":
        yield {}
        return
    address = f"http://127.0.0.1:{(port := free_port())}"
    environment = {
        "MLFLOW_S3_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "percasym",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "PERCASYM_ARTIFACTS": "s3://percasym/artifacts",
    }
    with tempfile.TemporaryDirectory() as folder:
        server = Server(
            "s3",
            lambda output: launch.start(
                ["moto.server", "-H", "127.0.0.1", "-p", str(port)],
                stdout=output.fileno(),
                stderr=subprocess.STDOUT,
            ),
            lambda: answers(f"{address}/moto-api/"),
            Path(folder) / "s3.log",
        )
        server.start()
        try:
            os.environ |= environment
            boto3.client("s3", endpoint_url=address).create_bucket(Bucket="percasym")
            yield environment
        finally:
            server.stop()


if __name__ == "__main__":
    main()
