"""a, a_p and a_r of a model in training, on the first items of a validation split."""

from transformers import PreTrainedModel, ProcessorMixin

from percasym.datasets import read_split
from percasym.engines import Sampling
from percasym.engines.transformers import TransformersEngine
from percasym.evaluation import evaluate
from percasym.metrics import summarise
from percasym.training.config import TrainingConfig


def validate(config: TrainingConfig, model: PreTrainedModel, processor: ProcessorMixin) -> dict[str, float]:
    """The figures, greedy, and the number of items `n`; leaves the model as it was."""
    rows = read_split(config.dataset, config.validation_split)
    rows = rows.select(range(min(config.validation_items, len(rows))))
    training, attention = model.training, model.config.text_config._attn_implementation
    model.eval()
    engine = TransformersEngine(model, processor, config.validation_batch_size)
    try:
        summary = summarise(evaluate(engine, rows, Sampling(max_tokens=config.max_new_tokens)))
    finally:
        # The engine takes an attention of its own, which a resumed run would not have until it validates.
        model.set_attn_implementation({"text_config": attention})
        model.train(training)
    figures = {name: summary[name].value for name in ("a", "a_p", "a_p_partial", "a_r")}
    return {**figures, "n": len(rows)}
