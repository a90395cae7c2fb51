"""Commands about models and their responses; nothing is trained."""

from pathlib import Path
from typing import Annotated

import typer

from flows.console import bar, show

commands = typer.Typer()


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

    found = jsonable(correlate(group for groups in read_groups(rollouts).values() for group in groups))
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
    max_new_tokens: Annotated[int, typer.Option(min=8, help="Longest response.")] = 1024,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sampling.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")] = False,
) -> None:
    """Say how well each surrogate stands in for a_p, and at what cost, where the truth is known."""
    from transformers.utils import logging

    from percasym.grpo.audit import AuditConfig, run

    logging.set_verbosity_error()
    logging.disable_progressbar()
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
