"""a, a_p and a_r of a model in training, on the first items of a validation split."""

from collections.abc import Sequence

from transformers import PreTrainedModel, ProcessorMixin

from percasym.datasets import read_split
from percasym.engines import Sampling
from percasym.engines.transformers import TransformersEngine
from percasym.evaluation import MODES, evaluate
from percasym.metrics import Mode, Row, summarise
from percasym.training.config import TrainingConfig
from percasym.training.distributed import Ranks


def validate(config: TrainingConfig, model: PreTrainedModel, processor: ProcessorMixin) -> dict[str, float]:
    """The figures, greedy, and the number of items `n`; leaves the model as it was."""
    responses = _responses(config, model, processor, range(config.validation_items), MODES)
    summary = summarise(responses)
    found = {name: summary[name] for name in ("a", "a_p", "a_p_partial", "a_r")}
    return {**{name: one.value for name, one in found.items() if one}, "n": summary["a"].n}


def reasoning(
    config: TrainingConfig, model: PreTrainedModel, processor: ProcessorMixin, items: int, ranks: Ranks
) -> tuple[float, int]:
    """a_r alone on at most so many items, greedy, and how many these were; leaves the model as it was.

    Ranks share out the items.
    """
    mine = range(ranks.rank, items, ranks.world)
    responses = _responses(config, model, processor, mine, ("oracle",))
    right, n = ranks.sum([sum(row["a"] for row in responses), len(responses)])
    return right / n, int(n)


def _responses(
    config: TrainingConfig,
    model: PreTrainedModel,
    processor: ProcessorMixin,
    items: range,
    modes: Sequence[Mode],
) -> list[Row]:
    rows = read_split(config.dataset, config.validation_split)
    rows = rows.select([number for number in items if number < len(rows)])
    training, attention = model.training, model.config.text_config._attn_implementation
    model.eval()
    engine = TransformersEngine(model, processor, config.validation_batch_size)
    try:
        return list(evaluate(engine, rows, Sampling(max_tokens=config.max_new_tokens), modes))
    finally:
        # The engine takes an attention of its own, which a resumed run would not have until it validates.
        model.set_attn_implementation({"text_config": attention})
        model.train(training)
