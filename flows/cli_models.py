"""Commands about models and their responses; nothing is trained."""

import json
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from flows.console import bar, progress_bar, quieten, show
from percasym.engines import LONGEST
from percasym.errors import PercasymError

commands = typer.Typer()

Engine = Annotated[
    str,
    typer.Option(help="transformers; vllm; or server: --server, or one of vLLM's that is started."),
]
Precision = Annotated[str, typer.Option(help="auto (as saved; on a CPU float32), float32 or bfloat16.")]
MaxNewTokens = Annotated[int, typer.Option(min=8, help="Tokens at which a response is cut off.")]
AtOnce = Annotated[int, typer.Option("--batch-size", min=1, help="Responses that are generated at a time.")]
Context = Annotated[int, typer.Option(min=0, help="Longest sequence in vLLM, in tokens; 0: the model's own.")]
TensorParallel = Annotated[int, typer.Option(min=1, help="GPUs that share one copy of the model, in vLLM.")]
DataParallel = Annotated[int, typer.Option(min=1, help="Copies of the model, in vLLM.")]


@commands.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="Checkpoint: a folder or a Hub id; or its name at --server.")],
    data: Annotated[Path, typer.Argument(help="Folder of a data set.")],
    out: Annotated[Path, typer.Option(help="Folder of the results; an unfinished evaluation in it goes on.")],
    split: Annotated[str, typer.Option(help="Split to measure on.")] = "test",
    limit: Annotated[int | None, typer.Option(min=1, help="Take only the first items.")] = None,
    modes: Annotated[
        str, typer.Option(help="end_to_end (a, a_p), oracle (a_r), or both.")
    ] = "end_to_end,oracle",
    max_new_tokens: MaxNewTokens = LONGEST,
    temperature: Annotated[float, typer.Option(min=0, help="0: always the most probable token.")] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sampling.")] = 0,
    engine: Engine = "transformers",
    server: Annotated[
        str, typer.Option(help="Its address, as http://host:8000/v1; key: PERCASYM_API_KEY.")
    ] = "",
    precision: Precision = "auto",
    batch_size: AtOnce = 64,
    context: Context = 0,
    tensor_parallel: TensorParallel = 1,
    data_parallel: DataParallel = 1,
    patience: Annotated[
        float, typer.Option(min=0.1, help="Seconds that an answer of a server may take.")
    ] = 600,
    retries: Annotated[int, typer.Option(min=0, help="Times that a failed request is repeated.")] = 6,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Measure a model: a, a_p and a_r, with intervals and causes. Killed, the same command goes on."""
    quieten()
    from percasym.evaluation import EvaluationConfig, run

    config = EvaluationConfig.model_validate(
        {
            "model": model,
            "dataset": str(data),
            "out": out,
            "split": split,
            "limit": limit,
            "modes": modes.split(","),
            "max_new_tokens": max_new_tokens,
            "temperature": temperature,
            "seed": seed,
            "engine": engine if not server else "server",
            "server": server,
            "precision": precision,
            "batch_size": batch_size,
            "context": context,
            "tensor_parallel": tensor_parallel,
            "data_parallel": data_parallel,
            "patience": patience,
            "retries": retries,
        }
    )
    with progress_bar("evaluating") as show_progress:
        for line in run(config):
            show_progress(line["done"], line["total"])
    from percasym.tables import audit_tables

    show(json.loads((out / "summary.json").read_text()), as_json, audit_tables)


@commands.command()
def adopt(
    model: Annotated[str, typer.Argument(help="Checkpoint: a folder or a Hub id.")],
    out: Annotated[Path, typer.Argument(help="Folder of the new checkpoint; must not be there yet.")],
    system: Annotated[str, typer.Option(help="System prompt of a conversation that has none.")] = "",
    thinking: Annotated[str, typer.Option(help="on or off: the chat template's enable_thinking.")] = "",
    min_pixels: Annotated[int, typer.Option(min=0, help="Smaller images are enlarged to this area.")] = 0,
    max_pixels: Annotated[int, typer.Option(min=0, help="Larger images are shrunk to this area.")] = 0,
) -> None:
    """Write choices about prompts and images into a copy of a checkpoint, which needs no settings then."""
    quieten()
    from percasym.models.adopting import AdoptingConfig, run

    fields = {"system": system, "thinking": thinking, "min_pixels": min_pixels, "max_pixels": max_pixels}
    run(AdoptingConfig.model_validate({"checkpoint": model, "out": out, **fields}))
    typer.echo(out)


@commands.command()
def serve(
    model: Annotated[str, typer.Argument(help="Checkpoint: a folder or a Hub id.")],
    host: Annotated[
        str, typer.Option(help="Address to listen at; others than loopback want PERCASYM_API_KEY.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0: a free one.")] = 8000,
    precision: Precision = "auto",
    batch_size: AtOnce = 128,
    context: Context = 0,
    tensor_parallel: TensorParallel = 1,
    data_parallel: DataParallel = 1,
) -> None:
    """Serve a model with vLLM, until Ctrl-C. With the key in PERCASYM_API_KEY, if there is one."""
    from percasym.engines.config import KEY, EngineConfig
    from percasym.engines.serving import serving

    config = EngineConfig.model_validate(
        {
            "model": model,
            "engine": "server",
            "precision": precision,
            "batch_size": batch_size,
            "context": context,
            "tensor_parallel": tensor_parallel,
            "data_parallel": data_parallel,
        }
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    key = os.environ.get(KEY, "")
    with suppress(KeyboardInterrupt), serving(config, host, port, key=key) as address:
        typer.echo(f"{model} is served at {address} (Ctrl-C ends it)")
        signal.pause()


@commands.command()
def score(
    data: Annotated[Path, typer.Argument(help="Folder of a data set.")],
    responses: Annotated[
        Path, typer.Argument(help='Lines of {"id", "response"}, or also {"mode": "oracle"}.')
    ],
    split: Annotated[str, typer.Option(help="Split that the responses belong to.")] = "test",
    model_b: Annotated[Path | None, typer.Option(help="Responses of another model, to compare with.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Measure the responses of any model, without training anything."""
    from percasym.scoring import audit

    found = audit(data, split, responses, model_b)
    from percasym.tables import audit_tables

    show(found, as_json, audit_tables)


@commands.command()
def coupling(
    rollouts: Annotated[
        Path, typer.Argument(help='Lines of {"id", "a", "a_p", "a_own"}: some responses to each item.')
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Say what the outcome of grouped responses follows: perception or reasoning.

    GRPO leaves such a file, rollouts.jsonl, in the artifacts of its run.
    """
    from percasym.diagnostics.coupling import coupling as correlate
    from percasym.diagnostics.coupling import read_groups
    from percasym.metrics import as_json as jsonable

    groups = [group for groups in read_groups(rollouts).values() for group in groups]
    if not groups:
        raise PercasymError(f"{rollouts}: its items have no p*, so no caption is right or wrong")
    found = jsonable(correlate(groups))
    from percasym.tables import coupling_tables

    show(found, as_json, coupling_tables)


@commands.command()
def audit_surrogates(
    model: Annotated[str, typer.Argument(help="Checkpoint that responds: a folder or a Hub id.")],
    data: Annotated[Path, typer.Argument(help="Folder of a data set.")],
    split: Annotated[str, typer.Option(help="Labelled split.")] = "validation",
    items: Annotated[int, typer.Option(min=1, help="Items of it, the first ones.")] = 64,
    group_size: Annotated[int, typer.Option(min=2, help="Responses that are sampled to each.")] = 8,
    teacher: Annotated[str, typer.Option(help="Checkpoint that captions for the surrogate teacher.")] = "",
    surrogates: Annotated[
        str, typer.Option(help="Names, or path/to/file.py:function, by commas; none: all that are possible.")
    ] = "",
    max_new_tokens: MaxNewTokens = LONGEST,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sampling.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Say how well each surrogate stands in for a_p, and at what cost, where the truth is known."""
    quieten()
    from percasym.grpo.audit import AuditConfig, run

    config = AuditConfig(
        model=model,
        dataset=str(data),
        split=split,
        items=items,
        group_size=group_size,
        surrogates=tuple(name for name in surrogates.split(",") if name),
        teacher=teacher,
        max_new_tokens=max_new_tokens,
        seed=seed,
    )
    with bar("sampling", items) as advance:
        *_, last = map(advance, run(config))
    found = {name: value for name, value in last.items() if name != "kind"}
    from percasym.tables import surrogate_tables

    show(found, as_json, surrogate_tables)
