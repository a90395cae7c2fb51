"""vLLM reads what was adopted and fine-tuned, makes the same prompts, and writes what our engine does.

Run as a program, this file is the child that vLLM lives in: it leaves threads and processes behind.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

IMAGES = 4
LONGEST = 16
SECONDS = 240

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(3 * SECONDS)]


@pytest.mark.parametrize("name", ["qwen3_vl", "qwen3_vl_moe", "qwen2_5_vl", "internvl"])
def test_vllm_reads_and_writes_as_we_do(
    name: str,
    released: Callable[[str], Path],
    puzzles: Path,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    if "moe" in name and torch.cpu._is_amx_tile_supported():
        pytest.skip("vLLM 0.24.0 has no experts in float32 on a CPU with AMX: its activation wants a config")
    from percasym.datasets import read_split
    from percasym.engines import Request, Sampling
    from percasym.engines.transformers import TransformersEngine
    from percasym.models import load
    from percasym.models.adopting import adopt
    from percasym.models.prompting import Sample, encode
    from percasym.sft.config import SFTConfig
    from percasym.sft.trainer import train

    adopted = adopt(
        released(name), tmp_path / "model", system='Be "brief".\n', min_pixels=64 * 64, max_pixels=128 * 128
    )
    settings = {"steps": 1, "batch_size": 4, "learning_rate": 1e-3, "threads": 1}
    folder = train(SFTConfig(model=str(adopted), dataset=str(puzzles), out=tmp_path / "run", **settings))
    model, processor = load(folder, device="cpu")
    rows = list(read_split(puzzles, "test"))[:IMAGES]
    for number, row in enumerate(rows):
        row["image"] = row["image"].resize((64 + 48 * number, 64))
        row["image"].save(tmp_path / f"{number}.png")
    names = ("image_token_id", "video_token_id")
    job = {
        "model": str(folder),
        "queries": [row["query"] for row in rows],
        "images": [str(tmp_path / f"{number}.png") for number in range(IMAGES)],
        "banned": [getattr(model.config, name) for name in names if hasattr(model.config, name)],
        "out": str(tmp_path / "out.json"),
    }
    theirs = in_a_child(job, tmp_path)

    for row, found in zip(rows, theirs, strict=True):
        inputs, _ = encode(processor, [Sample(row["query"], row["image"])], "left")
        assert found["prompt"] == inputs["input_ids"][0].tolist()
    requests = [Request(str(number), row["query"], row["image"]) for number, row in enumerate(rows)]
    sampling = Sampling(max_tokens=LONGEST, stop="")
    engine = TransformersEngine(model, processor, batch_size=IMAGES)
    ours = {completion.id: list(completion.ids) for completion in engine.generate(requests, sampling)}
    texts = [(ours[str(number)], found["ids"]) for number, found in enumerate(theirs)]
    assert len({str(our) for our, _ in texts}) > 1  # else to be equal would be no feat
    assert all(our[0] == their[0] for our, their in texts)
    equal = sum(our == their for our, their in texts)
    record_property("equal texts", equal)
    print(f"{name}: {equal} of {len(texts)} texts are equal")


def in_a_child(job: dict[str, Any], folder: Path) -> list[dict[str, list[int]]]:
    """What the program below finds."""
    (folder / "job.json").write_text(json.dumps(job))
    environment = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"} | {
        "TORCHDYNAMO_DISABLE": "1",
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    log = folder / "log"
    for _ in range(2):  # it chooses a port long before it takes it
        code = ended([sys.executable, __file__, str(folder / "job.json")], environment, log)
        if "EADDRINUSE" not in log.read_text():
            break
    assert code == 0, log.read_text()[-4000:]
    found: list[dict[str, list[int]]] = json.loads(Path(job["out"]).read_text())
    return found


def ended(command: list[str], environment: dict[str, str], log: Path) -> int:
    """The exit code of a program, of which nothing goes on."""
    with log.open("w") as output:
        child = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
    try:
        return child.wait(SECONDS)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def main(job: dict[str, Any]) -> None:
    from vllm import LLM, SamplingParams

    llm = LLM(
        job["model"],
        max_model_len=1024,
        max_num_seqs=IMAGES,
        enforce_eager=True,
        dtype="float32",
        limit_mm_per_prompt={"image": 1, "video": 0},
    )
    conversations = [
        [
            {
                "role": "user",
                "content": [
                    {"type": "image_pil", "image_pil": Image.open(image)},
                    {"type": "text", "text": query},
                ],
            }
        ]
        for query, image in zip(job["queries"], job["images"], strict=True)
    ]
    sampling = SamplingParams(
        temperature=0, max_tokens=LONGEST, logit_bias=dict.fromkeys(job["banned"], -100.0)
    )
    outputs = llm.chat(conversations, sampling)
    found = [{"prompt": list(o.prompt_token_ids), "ids": list(o.outputs[0].token_ids)} for o in outputs]
    Path(job["out"]).write_text(json.dumps(found))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
