"""A run's state on disk. Being killed at any moment loses nothing but the steps since the last checkpoint."""

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from percasym.errors import PercasymError
from percasym.folders import flush
from percasym.seals import fault, seal


def write_folder(target: Path, fill: Sequence[Callable[[Path], Any]]) -> None:
    """Makes the folder `target` by the functions `fill`: it appears whole and on disk, or not at all.

    Raises:
        PercasymError: the disk is full or will not take it.
    """
    aside = target.with_name(f".{target.name}.writing")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(parents=True)
        for write in fill:
            write(aside)
        for path in [*aside.rglob("*"), aside]:
            flush(path)
        aside.rename(target)
        flush(target.parent)
    except (OSError, RuntimeError, SafetensorError) as error:  # torch has a RuntimeError for a full disk
        shutil.rmtree(aside, ignore_errors=True)
        raise PercasymError(f"cannot write {target}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error).partition("\n")[0]


class Checkpoints:
    """The folder of a run's checkpoints, step_N; the last one is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(
        self, step: int, weights: dict[str, Tensor], optimizer: dict[str, Any], progress: dict[str, Any]
    ) -> None:
        """Args:
        weights: every trained parameter by its name.
        optimizer: tensors and plain values.
        progress: whatever else the run must remember, as JSON.
        """

        def fill(folder: Path) -> None:
            save_file(weights, folder / "weights.safetensors")
            torch.save(optimizer, folder / "optimizer.pt")
            (folder / "progress.json").write_text(json.dumps(progress))
            seal(folder)

        target = self.folder / f"step_{step}"
        write_folder(target, [fill])
        for old in self._all():
            if old != target:
                shutil.rmtree(old)

    def last(self) -> tuple[int, dict[str, Tensor], dict[str, Any], dict[str, Any]] | None:
        """(step, weights, optimizer, progress) of the latest checkpoint; None if there is none.

        Raises:
            PercasymError: it is damaged.
        """
        found = self._all()
        if not found:
            return None
        folder = found[-1]
        damaged = f"the checkpoint {folder} is damaged; delete it to start again"
        if fault(folder):  # weights with a flipped bit would load
            raise PercasymError(damaged)
        try:
            weights = load_file(folder / "weights.safetensors")
            # weights_only: a checkpoint is data, and may not run code
            optimizer = torch.load(folder / "optimizer.pt", map_location="cpu", weights_only=True)
            progress = json.loads((folder / "progress.json").read_text())
        except Exception as error:
            raise PercasymError(damaged) from error
        return _step(folder), weights, optimizer, progress

    def remove(self) -> None:
        with suppress(FileNotFoundError):
            shutil.rmtree(self.folder)

    def _all(self) -> list[Path]:
        return sorted(self.folder.glob("step_*"), key=_step)


def _step(folder: Path) -> int:
    return int(folder.name.removeprefix("step_"))
