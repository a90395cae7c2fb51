"""Keeps the figures of a benchmark with what they depend on: the command, the commit and the machine."""

import json
import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from percasym.lifecycle.machine import this_machine

CAPS = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")  # leave instructions unused
HERE = Path(__file__).parent


def save(name: str, figures: Any) -> Path:
    """Write benchmarks/results/NAME.json and return where it is."""
    path = HERE / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({**origin(), "figures": figures}, indent=2) + "\n")
    return path


def origin() -> dict[str, Any]:
    """The command that runs now, the commit, the day and the machine."""
    return {
        "command": shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *map(_told, sys.argv[1:])]),
        "commit": _commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": _machine(),
    }


def _told(argument: str) -> str:
    """An argument as others can read it: where things lie on this machine is nobody's business."""
    return f"PATH/{Path(argument).name}" if os.path.isabs(argument) else argument


def _commit() -> str:
    """The commit, with a plus sign if tracked files of the package differ from it."""
    head = _git("rev-parse", "--short", "HEAD")
    return head + "+" * bool(
        _git("status", "--porcelain", "--untracked-files=no", "--", "percasym", "benchmarks/*.py")
    )


def _git(*arguments: str) -> str:
    run = subprocess.run(["git", "-C", HERE.parent, *arguments], capture_output=True, text=True, check=False)
    return run.stdout.strip()


def _machine() -> dict[str, Any]:
    """What speeds and rounding depend on; `capped`: whether instructions are left unused."""
    machine = this_machine()
    return {
        "gpus": [gpu.name for gpu in machine.gpus],
        "cpu": machine.cpu.name,
        "instructions": ", ".join(machine.cpu.instructions),
        "capped": {name: os.environ[name] for name in CAPS if name in os.environ},
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
