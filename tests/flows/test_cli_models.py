"""Measuring a model from the command line, and one line for each thing that can be wrong with it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fixtures.command import call
from fixtures.openai_server import MODEL, answer, failure, scripted

Run = tuple[int, str, str]


def one_line(run: Run, *words: str) -> None:
    code, out, err = run
    assert (code, out) == (2, "")
    assert err.count("\n") == 1, err
    assert err.startswith("error: ")
    assert all(word in err for word in words), err


def test_an_evaluation(
    checkpoint: Path, dataset: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["evaluate", checkpoint, dataset, "--out", tmp_path / "out", "--split", "validation"]
    code, out, err = call(capfd, *arguments, "--max-new-tokens", "8", "--limit", "2", "--json")
    assert code == 0, err
    assert json.loads(out)["a"]["n"] == 2
    assert pq.read_table(tmp_path / "out" / "results.parquet").num_rows == 4
    fewer = [*arguments, "--max-new-tokens", "8", "--limit", "2", "--modes", "end_to_end"]
    one_line(call(capfd, *fewer), "holds another evaluation, with another modes")
    assert pq.read_table(tmp_path / "out" / "results.parquet").num_rows == 4
    code, out, _ = call(capfd, *fewer, "--out", tmp_path / "fewer")
    assert code == 0
    assert "a_p" in out
    assert pq.read_table(tmp_path / "fewer" / "results.parquet").num_rows == 2


@pytest.mark.parametrize("engine", ["transformers", "vllm", "server"])
def test_a_model_that_is_not_there(
    engine: str, dataset: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["evaluate", "no/such/model", dataset, "--out", tmp_path / "out", "--split", "validation"]
    one_line(call(capfd, *arguments, "--engine", engine), "no checkpoint no/such/model")


@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_a_checkpoint_without_a_processor(
    engine: str, checkpoint: Path, dataset: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "model"
    shutil.copytree(checkpoint, broken)
    for name in ("preprocessor_config.json", "processor_config.json", "video_preprocessor_config.json"):
        (broken / name).unlink(missing_ok=True)
    arguments = ["evaluate", broken, dataset, "--out", tmp_path / "out", "--split", "validation"]
    one_line(call(capfd, *arguments, "--engine", engine), str(broken))


def test_a_row_with_a_broken_image(
    checkpoint: Path, dataset: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "data"
    shutil.copytree(dataset, broken)
    path = next((broken / "data").glob("validation-*.parquet"))
    table = pq.read_table(path)
    images = [{"bytes": b"no picture", "path": None} for _ in range(table.num_rows)]
    place = table.schema.get_field_index("image")
    pq.write_table(
        table.set_column(place, table.schema.field(place), pa.array(images, table.schema.field(place).type)),
        path,
    )
    arguments = ["evaluate", checkpoint, broken, "--out", tmp_path / "out", "--split", "validation"]
    one_line(call(capfd, *arguments), "image")


def test_servers_that_do_not_work(
    dataset: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def evaluate(address: str) -> Run:
        arguments = ["evaluate", MODEL, dataset, "--out", tmp_path / "out", "--split", "validation"]
        return call(capfd, *arguments, "--server", address, "--retries", "0")

    one_line(evaluate("http://127.0.0.1:9/v1"), "cannot be reached")
    one_line(evaluate("http://me:secret@127.0.0.1:9/v1"), "no passwords")

    def reply(body: dict[str, Any], number: int) -> Any:
        return failure(503)

    with scripted(reply) as address:
        one_line(evaluate(address), "503")
    monkeypatch.setenv("PERCASYM_API_KEY", "wrong-key")
    with scripted(lambda body, number: answer("x"), key="right") as address:
        run = evaluate(address)
        one_line(run, "refuses the key", "PERCASYM_API_KEY")
        assert "wrong-key" not in run[2]


def test_a_server_for_others_wants_a_key(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PERCASYM_API_KEY", raising=False)
    for host in ("0.0.0.0", "::", "192.0.2.1", "host.example.com", ""):
        one_line(call(capfd, "serve", "no/model", "--host", host), "lets others in: set PERCASYM_API_KEY")


def test_settings_that_are_wrong(dataset: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["evaluate", MODEL, dataset, "--out", tmp_path / "out"]
    one_line(call(capfd, *arguments, "--engine", "magic"), "engine")
    one_line(call(capfd, *arguments, "--modes", "sideways"), "modes")
    one_line(call(capfd, *arguments, "--temperature", "-1"), "temperature")
    one_line(call(capfd, *arguments, "--split", "nowhere"), "nowhere")


def test_choices_are_written_into_a_copy(
    build: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model, out = build("qwen3_vl"), tmp_path / "small"
    assert call(capfd, "adopt", model, out, "--max-pixels", "1024")[:2] == (0, f"{out}\n")
    found = [path for path in out.glob("*processor_config.json") if "1024" in path.read_text()]
    assert found
    one_line(call(capfd, "adopt", model, out, "--max-pixels", "1024"), str(out))
    one_line(call(capfd, "adopt", model, tmp_path / "other", "--thinking", "on"), "enable_thinking")
    one_line(call(capfd, "adopt", "no/such", tmp_path / "other"), "no/such")
