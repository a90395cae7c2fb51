"""How many puzzles the stage `generate` makes in a second by shards, on threads and on Ray, in what memory.

    python benchmarks/scale.py

4x4 Sudokus, drawn clean at 64 pixels; a child makes one file of at most 10,000 at a time. Each measurement is
the whole stage in a process of its own: the start of Ray and of each child, the files, their digests and the
card are part of its time. Its memory is the highest sum of the resident sizes of that process and all that it
started, sampled ten times a second; pages that two of them share count twice. The Prefect server is not part
of either. That memory does not depend on the number of items shows by ten times as many. All data sets of one
size have to be the same, byte for byte, whoever made them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import record

from flows.server import prefect_server
from percasym.home import VARIABLE, Home

FEW, MANY = 10_000, 100_000
MEASUREMENTS = [(runner, workers) for runner in ("threads", "ray") for workers in (1, 2)]
SETTINGS = {
    "puzzle_options": {"rows": 2, "cols": 2},
    "side": 64,
    "style": "clean",
    "shard_items": 5_000,  # so that few items, too, are more than one shard
}
SHARES = {"train_items": 0.85, "rl_items": 0.1, "validation_items": 0.025, "test_items": 0.025}


def main() -> None:
    parser = argparse.ArgumentParser(description="Rates and memory of the stage generate.")
    parser.add_argument("--stage", nargs=3, metavar=("RUNNER", "WORKERS", "ITEMS"), help=argparse.SUPPRESS)
    if asked := parser.parse_args().stage:
        print(json.dumps(stage(asked[0], int(asked[1]), int(asked[2]))))
        return
    rates: dict[str, dict[str, float]] = {}
    memory: dict[str, dict[str, float]] = {}
    digests: dict[int, set[str]] = {FEW: set(), MANY: set()}
    with tempfile.TemporaryDirectory() as folder, prefect_server(Home(Path(folder) / "server")) as address:
        address()
        for runner, workers in MEASUREMENTS:
            found = {}
            for items in (FEW, MANY):
                found[items] = measure(Path(folder) / f"{runner}-{workers}-{items}", runner, workers, items)
                digests[items].add(found[items]["digest"])
            rates.setdefault(runner, {})[f"workers={workers}"] = round(MANY / found[MANY]["seconds"])
            peaks = {f"{items:,} items": found[items]["megabytes"] for items in (FEW, MANY)}
            ratio = round(found[MANY]["megabytes"] / found[FEW]["megabytes"], 2)
            memory[f"{runner}, workers={workers}"] = {**peaks, "ratio": ratio}
            print(runner, workers, rates[runner], memory[f"{runner}, workers={workers}"], flush=True)
    assert all(len(same) == 1 for same in digests.values()), "data sets differ"
    path = record.save("scale", {"items per second": rates, "peak memory in MB": memory})
    print(f"all data sets of one size are the same; figures in {path}")


def measure(home: Path, runner: str, workers: int, items: int) -> dict[str, Any]:
    """Seconds and digest of the stage, and its highest memory in MB."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--stage", runner, str(workers), str(items)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, VARIABLE: str(home)},
    )
    peaks = [0]
    watcher = threading.Thread(target=watch, args=(process, peaks))
    watcher.start()
    output, _ = process.communicate()
    watcher.join()
    if process.returncode:
        raise SystemExit(f"{runner}, {workers} workers, {items} items: failed")
    return {**json.loads(output.splitlines()[-1]), "megabytes": round(peaks[0] / 1e6)}


def watch(process: "subprocess.Popen[str]", peaks: list[int]) -> None:
    while process.poll() is None:
        try:
            parent = psutil.Process(process.pid)
            family = [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        total = 0
        for member in family:
            try:
                total += member.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        peaks[0] = max(peaks[0], total)
        time.sleep(0.1)


def stage(runner: str, workers: int, items: int) -> dict[str, Any]:
    """Runs the stage in this process's home folder."""
    from prefect import flow

    from percasym import launch
    from percasym.datasets import content_digest
    from percasym.presets import load_preset
    from percasym.tracking import Tracker
    from tasks.generate import generate

    sizes = {name: round(share * items) for name, share in SHARES.items()}
    config = load_preset("mini", {**SETTINGS, **sizes, "runner": runner, "workers": workers})

    @flow
    def study() -> tuple[float, str]:
        run = Tracker.current().start("scale", {}).id
        with launch.slots(workers):
            start = time.perf_counter()
            data = generate.submit(config, run).result().path
            return time.perf_counter() - start, content_digest(data)

    seconds, digest = study()
    return {"seconds": seconds, "digest": digest}


if __name__ == "__main__":
    main()
