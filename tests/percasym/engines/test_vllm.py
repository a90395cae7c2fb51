"""vLLM for real, on the CPU: in this process, and behind HTTP. `make test-vllm` runs these."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import psutil
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

from percasym.datasets import generate_rows, write_dataset
from percasym.engines.config import KEY, EngineConfig
from percasym.engines.serving import serving
from percasym.puzzles import Puzzle

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]
ITEMS = 32
TOKENS = 80
PERCASYM = str(Path(sys.executable).with_name("percasym"))


@pytest.fixture(scope="module")
def data(sudoku: Puzzle[Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_dataset(folder, {"test": generate_rows(sudoku, "test", 0, ITEMS)})
    return folder


@pytest.fixture(scope="module")
def server(mini_talker: Path) -> Iterator[str]:
    """It wants a key, which commands find in their environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY, "planted-sesame")
        config = EngineConfig(model=str(mini_talker), engine="server", context=1024)
        with serving(config, key="planted-sesame") as address:
            yield address


@pytest.fixture(scope="module")
def thinker(mini_talker: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, but its template begins a thought, and it would be penalised if generation_config counted."""
    folder = tmp_path_factory.mktemp("thinker") / "model"
    shutil.copytree(mini_talker, folder)
    template = folder / "chat_template.jinja"
    text = template.read_text().replace(
        "{% if message.content is string %}",
        "{% if message.role == 'assistant' %}<think>\n\n</think>\n\n{% endif %}"
        "{% if message.content is string %}",
    )
    template.write_text(text + "{% if add_generation_prompt %}<think>\n{% endif %}")
    settings = folder / "generation_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "repetition_penalty": 5.0}))
    return folder


Measured = dict[tuple[str, str], dict[str, Any]]


@pytest.fixture(scope="module")
def measure(
    mini_talker: Path, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Measured]:
    """Measures a checkpoint as a user would, in a process of its own, which vLLM wants."""

    def rows(*options: str, model: Path = mini_talker) -> Measured:
        out = tmp_path_factory.mktemp("out") / "evaluation"
        percasym("evaluate", str(model), str(data), "--out", str(out), *options)
        table = pq.read_table(out / "results.parquet").to_pylist()
        assert len(table) == 2 * ITEMS
        return {(row["id"], row["mode"]): row for row in table}

    return rows


def percasym(command: str, *options: str) -> str:
    arguments = [PERCASYM, command, *options]
    if command == "evaluate":
        arguments += ["--max-new-tokens", str(TOKENS), "--context", "1024"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def embedded(measure: Callable[..., Measured]) -> Measured:
    return measure()


SCORES = ("a", "a_partial", "a_p", "a_p_partial", "a_own", "format", "complete", "cause")


def alike(found: Measured, expected: Measured) -> None:
    """Every item and mode once; scores equal in at least 98 %: rounding may turn a text at a near tie."""
    assert found.keys() == expected.keys()
    other = [key for key in expected if any(found[key][name] != expected[key][name] for name in SCORES)]
    assert len(other) <= 0.02 * len(expected), [(expected[key], found[key]) for key in other[:2]]
    equal = sum(found[key]["text"].split() == expected[key]["text"].split() for key in expected)
    assert equal >= 0.9 * len(expected)
    counted = [key for key in expected if found[key]["text"].split() == expected[key]["text"].split()]
    assert all(found[key]["finish_reason"] == expected[key]["finish_reason"] for key in counted)
    assert all(abs(found[key]["tokens"] - expected[key]["tokens"]) <= 1 for key in counted)


def test_the_checkpoint_says_something(embedded: Measured) -> None:
    texts = {row["text"] for row in embedded.values()}
    assert len(texts) > ITEMS
    assert any(row["a_p_partial"] for row in embedded.values() if row["mode"] == "end_to_end")


def test_vllm_in_this_process(measure: Callable[..., Measured], embedded: Measured) -> None:
    alike(measure("--engine", "vllm"), embedded)


def test_a_server(measure: Callable[..., Measured], embedded: Measured, server: str) -> None:
    """Images as data URLs, and the right caption as the beginning of the model's turn."""
    alike(measure("--server", server), embedded)


def test_a_server_with_a_key_answers_nobody_without(server: str, mini_talker: Path) -> None:
    lines = [process.cmdline() for process in psutil.Process().children(recursive=True)]
    assert any("vllm" in str(line) for line in lines)
    assert "planted-sesame" not in str(lines)
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(f"{server}/models")
    assert error.value.code == 401
    asked = urllib.request.Request(f"{server}/models", headers={"Authorization": "Bearer planted-sesame"})
    with urllib.request.urlopen(asked) as answer:
        assert json.loads(answer.read())["data"][0]["id"] == str(mini_talker)


@pytest.fixture(scope="module")
def thought(measure: Callable[..., Measured], thinker: Path) -> Measured:
    return measure(model=thinker)


@pytest.mark.parametrize("engine", ["vllm", "server"])
def test_thoughts_and_penalties(
    measure: Callable[..., Measured], thinker: Path, thought: Measured, engine: str
) -> None:
    """Every engine knows the thought that the template begins, closes it before a caption, has no penalty.

    The server is one that is started for it, and ends with it.
    """
    free = [row["text"] for row in thought.values() if row["mode"] == "end_to_end"]
    assert all(text.startswith("<think>\n") for text in free)
    before = vllm_processes()
    alike(measure("--engine", engine, model=thinker), thought)
    assert vllm_processes() == before


def test_vllm_goes_on_from_a_stop_in_a_thought(mini_talker: Path) -> None:
    """With a stand-in for its engine, which says a given text token by token and stops as vLLM does."""
    from percasym.engines import LONGEST, Request, Sampling
    from percasym.engines.vllm import VLLMEngine
    from percasym.models import load_processor

    processor = load_processor(mini_talker)
    processor.chat_template += "{% if add_generation_prompt %}<think>\n{% endif %}"
    tokenizer = processor.tokenizer
    said = "a1 </answer> a2 </answer> </think> a3 </answer> a4"
    ids = tokenizer(said, add_special_tokens=False)["input_ids"]
    asked: list[tuple[list[int], Any]] = []

    class Saying:
        async def generate(self, prompt: dict[str, Any], parameters: Any, id: str) -> AsyncIterator[Any]:
            asked.append((prompt["prompt_token_ids"], parameters))
            start = len(prompt["prompt_token_ids"]) - len(asked[0][0])
            rest = ids[start : start + parameters.max_tokens]
            ended = [place for place, token in enumerate(rest, 1) if tokenizer.decode(token) == "</answer>"]
            stopped = ended[0] if ended else 0
            yield SimpleNamespace(
                outputs=[
                    SimpleNamespace(
                        token_ids=rest[: stopped or len(rest)],
                        logprobs=None,
                        stop_reason="</answer>" if stopped else None,
                        finish_reason="stop" if stopped else "length",
                    )
                ]
            )

    def completed(**sampling: Any) -> Any:
        asked.clear()
        with asyncio.Runner() as runner:
            engine = VLLMEngine(Saying(), "saying", processor, 1, runner)
            (found,) = engine.generate([Request("x", "a1", None)], Sampling(**sampling))
        return found

    whole = completed(temperature=1.0)
    assert (whole.text.split(), whole.finish_reason) == (f"<think> {said[:-3]}".split(), "stop")
    assert list(whole.ids) == ids[:-1]
    assert [prompt[len(asked[0][0]) :] for prompt, _ in asked] == [[], ids[:2], ids[:4]]
    assert [parameters.max_tokens for _, parameters in asked] == [LONGEST, LONGEST - 2, LONGEST - 4]
    assert len({parameters.seed for _, parameters in asked}) == 3
    cut = completed(max_tokens=3)
    assert (cut.text.split(), cut.finish_reason) == (["<think>", "a1", "</answer>", "a2"], "length")
    assert completed(max_tokens=2).finish_reason == "length"
    assert completed(stop="").text.split() == ["<think>", "a1", "</answer>"]


def test_weights_that_are_not_numbers(mini_talker: Path, data: Path, tmp_path: Path) -> None:
    """One line, where vLLM itself would say nothing at all."""
    folder = tmp_path / "model"
    shutil.copytree(mini_talker, folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.language_model.norm.weight"].fill_(torch.nan)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    command = [
        PERCASYM,
        "evaluate",
        str(folder),
        str(data),
        "--out",
        str(tmp_path / "out"),
        "--engine",
        "vllm",
    ]
    done = subprocess.run(
        [*command, "--context", "1024", "--max-new-tokens", "8"], capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 2
    assert f"error: the logits of {folder} are not finite" in done.stderr


def test_log_probabilities(mini_talker: Path, data: Path, server: str) -> None:
    """Those of the server are those of the embedded engine."""
    from percasym.datasets import read_split
    from percasym.engines import Request, Sampling
    from percasym.engines.config import open_engine

    rows = list(read_split(data, "test", ["id", "query", "image"]))[:4]
    requests = [Request(row["id"], row["query"], row["image"]) for row in rows]
    sampling = Sampling(max_tokens=12, log_probabilities=True)
    told = []
    for settings in ({}, {"engine": "server", "server": server}):
        with open_engine(EngineConfig(model=str(mini_talker), **settings)) as engine:
            told.append({c.id: c for c in engine.generate(requests, sampling)})
    for request in requests:
        ours, theirs = (completions[request.id] for completions in told)
        assert ours.text.split() == theirs.text.split()
        assert len(ours.log_probabilities) == ours.tokens
        assert theirs.log_probabilities == pytest.approx(ours.log_probabilities, abs=1e-3)


def test_a_server_that_dies_in_the_middle_and_one_whose_parent_does(
    mini_talker: Path, data: Path, embedded: Measured, server: str, tmp_path: Path
) -> None:
    """One line; the same command with a server that is well again ends with every item once.

    A parent that is killed leaves nothing behind. This is the last test, as the others need the server that
    dies: to start one takes longer than most of what is asked of it.
    """
    out = tmp_path / "out"
    arguments = [PERCASYM, "evaluate", str(mini_talker), str(data), "--out", str(out), "--server", server]
    arguments += ["--max-new-tokens", str(TOKENS), "--batch-size", "2", "--retries", "1"]
    evaluation = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
    journal = out / "results.jsonl"
    while not (journal.exists() and journal.read_text().count("\n") > 6):
        assert evaluation.poll() is None, "it was done before the server could be killed"
        time.sleep(0.05)
    for process in vllm_processes():
        process.kill()
    _, errors = evaluation.communicate(timeout=120)
    assert evaluation.returncode == 2
    assert errors.count("\n") == 1, errors
    assert "the server" in errors
    kept = journal.read_text().count("\n") - 1
    assert 6 <= kept < 2 * ITEMS

    port = str(urlsplit(server).port)
    parent = subprocess.Popen(
        [PERCASYM, "serve", str(mini_talker), "--port", port, "--context", "1024"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert parent.stdout is not None
        assert "is served at" in parent.stdout.readline()
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=300)
        family = psutil.Process(parent.pid).children(recursive=True)  # and not those of other tests
        assert any("EngineCore" in " ".join(process.cmdline()) for process in family)
    finally:
        os.kill(parent.pid, signal.SIGKILL)
    assert done.returncode == 0, done.stderr
    rows = pq.read_table(out / "results.parquet").to_pylist()
    alike({(row["id"], row["mode"]): row for row in rows}, embedded)
    _, left = psutil.wait_procs(family, timeout=30)
    assert not left


def vllm_processes() -> set[psutil.Process]:
    """All of vLLM's that this process has started, and not those of tests beside it."""
    found = set()
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            line = " ".join(process.cmdline())
            if "vllm.entrypoints" in line or "EngineCore" in line:
                found.add(process)
    return found
