"""What waiting there is in daily use: until `percasym up` is ready, and for a study that is fully cached.

    python benchmarks/up.py

A cached study is timed from the request that starts it, as from the form in the UI, to its end; and from the
start of its flow, as the UI shows it. `percasym study` of the same, on the same servers, is timed from the
command to its exit.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import record

sys.path.insert(0, str(record.HERE.parent / "tests"))

from fixtures.tiny import arguments, form
from fixtures.up import Running, clean, running_up

NAME = "cached"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=7, help="of the cached study")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        start = time.monotonic()
        with running_up(home) as up:
            first = time.monotonic() - start
            done = up.ended(up.start("study", **form(NAME)))
            assert done["state_type"] == "COMPLETED", done["state"]
        start = time.monotonic()
        with running_up(home) as up:
            figures: dict[str, Any] = {
                "up, first start": first,
                "up, second start": time.monotonic() - start,
            }
            asked, flows, commands = zip(*(_cached(up) for _ in range(options.runs)), strict=True)
    figures |= {
        "cached study, from the form": median(asked),
        "cached study, its flow": median(flows),
        "cached study, by command": median(commands),
    }
    figures = {name: round(seconds, 2) for name, seconds in figures.items()}
    for name, seconds in figures.items():
        print(f"{name:30}{seconds:6.2f} s")
    print(record.save("up", figures))


def _cached(up: Running) -> tuple[float, float, float]:
    """Seconds from the request to the end, of the flow, and of the command."""
    start = time.monotonic()
    state = up.ended(up.start("study", **form(NAME)))
    asked = time.monotonic() - start
    assert state["state_type"] == "COMPLETED", state["state"]
    command = [sys.executable, "-m", "flows.cli", "study", "--home", str(up.home), *arguments(NAME)]
    start = time.monotonic()
    subprocess.run(command, check=True, capture_output=True, env=clean({}))
    return asked, float(state["total_run_time"]), time.monotonic() - start


if __name__ == "__main__":
    main()
