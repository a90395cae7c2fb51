"""`make study`, stage by stage, with all that the CPU can do and as on a CPU with AVX2 alone.

    python benchmarks/study.py                  both, one after the other: about 45 minutes
    python benchmarks/study.py --caps none      as it is

Each run has a home of its own, so nothing is found in a cache. A stage lasts from when its work is begun,
with the wait for a free worker, to its end; stages overlap. Most laptops, and servers of before 2021, have
no instructions for bfloat16 and none of 512 bits.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import record

from percasym.home import VARIABLE
from percasym.tracking import Tracker

# What makes torch, oneDNN and MKL use AVX2 and nothing newer.
CAPS = {
    "none": {},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"},
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--caps", default="none,avx2", help=f"some of {', '.join(CAPS)}")
    parser.add_argument("--preset", default="mini")
    parser.add_argument("--set", action="append", default=[], help="as of percasym study", dest="settings")
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    for cap in options.caps.split(","):
        with tempfile.TemporaryDirectory() as folder:
            figures[cap] = _timed(Path(folder) / "home", options.preset, options.settings, CAPS[cap])
        _print(cap, figures[cap])
    if len(figures) > 1:
        first, *others = figures
        figures["ratios"] = {cap: figures[cap]["seconds"] / figures[first]["seconds"] for cap in others}
        print("ratios to", first, figures["ratios"])
    print(record.save("study", figures))


def _timed(home: Path, preset: str, settings: list[str], cap: dict[str, str]) -> dict[str, Any]:
    """Seconds of the whole study, and from and to when each stage was at work."""
    command = [sys.executable, "-m", "flows.cli", "study", "--preset", preset, "--home", str(home)]
    command += [part for setting in settings for part in ("--set", setting)]
    began = time.time()
    subprocess.run(command, env={**os.environ, **cap}, check=True)
    seconds = time.time() - began
    os.environ[VARIABLE] = str(home)
    client = Tracker.current().client
    runs = [
        run
        for experiment in client.search_experiments()
        for run in client.search_runs([experiment.experiment_id], max_results=1000)
    ]
    stages = {
        run.info.run_name: {
            "from": round(run.info.start_time / 1000 - began, 1),
            "to": round(run.info.end_time / 1000 - began, 1),
        }
        for run in sorted(runs, key=lambda run: run.info.start_time)
        if run.data.tags.get("key")  # a stage's; the study's own run has none
    }
    return {"capped": cap, "seconds": round(seconds, 1), "stages": stages}


def _print(cap: str, found: dict[str, Any]) -> None:
    print(f"\n{cap}: {found['seconds']:.0f} s {json.dumps(found['capped'])}")
    for name, times in found["stages"].items():
        print(f"  {name:36}{times['from']:8.0f} to{times['to']:7.0f}  {times['to'] - times['from']:7.0f} s")


if __name__ == "__main__":
    main()
