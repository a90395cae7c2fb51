"""The algebra of L_p and L_r on real models in float64, and that a model's own loss is the token mean."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import (
    PreTrainedModel,
    ProcessorMixin,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
)

from percasym.datasets import iter_split, read_split, write_dataset
from percasym.images import encode_image, open_image
from percasym.models import load
from percasym.sft.data import TrainingRows
from percasym.sft.losses import TokenLosses
from percasym.sft.step import Gradient, GradientComputer
from percasym.sft.weighting import StepStatistics, Weighting
from percasym.sft.weighting.fixed import Fixed
from percasym.sft.weighting.ngdiff import NGDiff
from percasym.sft.weighting.pcgrad import PCGrad
from percasym.sft.weighting.token_mean import TokenMean
from percasym.training.batches import TOKEN_INPUTS, MicroBatch
from percasym.training.distributed import Ranks


class Bench:
    """A model in float64 and rows to train it on."""

    def __init__(
        self, model: PreTrainedModel, processor: ProcessorMixin, dataset: Path, split: str = "train_sft"
    ) -> None:
        self.losses = TokenLosses(model.double().train())
        self.names = [name for name, _ in self.losses.named_parameters()]
        self.compute = GradientComputer(
            self.losses, list(self.losses.parameters()), Ranks(), autocast=nullcontext
        )
        self.rows = TrainingRows(read_split(dataset, split), processor, seed=0)

    def batches(self, micro_batch_size: int = 6) -> list[MicroBatch]:
        return [double(batch) for batch in self.rows.batch(0, 6, micro_batch_size, 0, 1)]

    def gradient(
        self, weighting: Weighting, batches: Sequence[MicroBatch], measure: bool = False
    ) -> Gradient:
        return self.compute(0, batches, weighting, measure)

    def apart(self, batches: Sequence[MicroBatch]) -> tuple[list[Tensor], list[Tensor]]:
        """g_p and g_r."""
        return self.gradient(Fixed(1.0), batches).values, self.gradient(Fixed(0.0), batches).values


def double(batch: MicroBatch) -> MicroBatch:
    return batch._replace(
        inputs={name: x.double() if x.is_floating_point() else x for name, x in batch.inputs.items()}
    )


def padded(batch: MicroBatch, columns: int) -> MicroBatch:
    def wider(x: Tensor) -> Tensor:
        return torch.nn.functional.pad(x, (0, columns))

    inputs = {name: wider(x) if name in TOKEN_INPUTS else x for name, x in batch.inputs.items()}
    return MicroBatch(inputs, wider(batch.perception), wider(batch.reasoning), batch.prompt)


def assert_same(one: Sequence[Tensor], other: Sequence[Tensor], tolerance: float = 1e-6) -> None:
    """Every gradient, relative to its own norm, or to the whole gradient's if it vanishes."""
    whole = sum(float(x.norm()) ** 2 for x in one) ** 0.5
    for x, y in zip(one, other, strict=True):
        assert float((x - y).norm()) <= tolerance * max(float(x.norm()), 1e-6 * whole)


def inner(one: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    return sum(float((x * y).sum()) for x, y in zip(one, other, strict=True))


def qwen2_5_vl(like: PreTrainedModel) -> PreTrainedModel:
    """A random Qwen2.5-VL for the processor and about the size of a Qwen3-VL."""
    text, vision = like.config.text_config.to_dict(), like.config.vision_config.to_dict()
    rope = {"rope_type": "default", "rope_theta": 1000.0, "mrope_section": [2, 1, 1]}
    tokens = {name: getattr(like.config, name) for name in ("image_token_id", "video_token_id")}
    torch.manual_seed(0)
    return Qwen2_5_VLForConditionalGeneration(
        Qwen2_5_VLConfig(
            text_config={**text, "model_type": "qwen2_5_vl_text", "rope_parameters": rope},
            vision_config={
                **{name: vision[name] for name in ("depth", "hidden_size", "intermediate_size", "num_heads")},
                **{name: vision[name] for name in ("patch_size", "temporal_patch_size", "out_hidden_size")},
                "spatial_merge_size": vision["spatial_merge_size"],
                "window_size": 4 * vision["patch_size"],
                "fullatt_block_indexes": [1],
            },
            vision_start_token_id=like.config.vision_start_token_id,
            vision_end_token_id=like.config.vision_end_token_id,
            **tokens,
        )
    )


@pytest.fixture(scope="module", params=["qwen3_vl", "internvl", "qwen2_5_vl"])
def bench(request: pytest.FixtureRequest, build: Callable[[str], Path], dataset: Path) -> Bench:
    name = "qwen3_vl" if request.param == "qwen2_5_vl" else request.param
    model, processor = load(build(name), device="cpu", dtype="float32")
    return Bench(qwen2_5_vl(model) if request.param == "qwen2_5_vl" else model, processor, dataset)


def test_token_share_as_lam_is_the_models_own_loss(bench: Bench) -> None:
    (batch,) = bench.batches()
    labels = batch.inputs["input_ids"].masked_fill(~(batch.perception | batch.reasoning), -100)
    loss = bench.losses.model(**batch.inputs, labels=labels).loss
    loss.backward()
    expected = [p.grad for p in bench.losses.parameters() if p.grad is not None]
    bench.losses.zero_grad()
    gradient = bench.gradient(TokenMean(), [batch])
    s = gradient.statistics
    lam = s.tokens_p / (s.tokens_p + s.tokens_r)
    assert gradient.coefficients == pytest.approx((lam, 1 - lam))
    assert lam * s.loss_p + (1 - lam) * s.loss_r == pytest.approx(loss.item(), rel=1e-6)
    assert len(expected) == len(gradient.values)
    assert_same(expected, gradient.values)


@pytest.mark.parametrize("weighting", [TokenMean(), Fixed(0.7)])
def test_measuring_does_not_change_the_step(bench: Bench, weighting: Weighting) -> None:
    plain = bench.gradient(weighting, bench.batches())
    measured = bench.gradient(weighting, bench.batches(), measure=True)
    assert_same(plain.values, measured.values)
    g_p, g_r = bench.apart(bench.batches())
    s = measured.statistics
    assert s.norm_p**2 == pytest.approx(inner(g_p, g_p))
    assert s.norm_r**2 == pytest.approx(inner(g_r, g_r))
    assert s.dot == pytest.approx(inner(g_p, g_r))
    assert (s.loss_p, s.loss_r) == pytest.approx((plain.statistics.loss_p, plain.statistics.loss_r))


@pytest.mark.parametrize("weighting", [TokenMean(), NGDiff()])
def test_micro_batches_and_padding_change_nothing(bench: Bench, weighting: Weighting) -> None:
    whole = bench.gradient(weighting, bench.batches())
    for batches in (bench.batches(1), bench.batches(4), [padded(bench.batches()[0], 9)]):
        other = bench.gradient(weighting, batches)
        assert_same(whole.values, other.values)
        assert other.tokens == whole.tokens
        assert other.coefficients == pytest.approx(whole.coefficients)


def test_the_prefix_pass_gives_the_gradient_of_the_whole_sequence(bench: Bench) -> None:
    (batch,) = bench.batches()
    prefix = batch.perception_prefix()
    assert prefix.perception.shape[1] < batch.perception.shape[1] - 20
    assert prefix.perception.sum() == batch.perception.sum()
    whole, short = bench.gradient(Fixed(1.0), [batch]), bench.gradient(Fixed(1.0), [batch], measure=True)
    assert_same(whole.values, short.values)
    assert whole.statistics.loss_p == pytest.approx(short.statistics.loss_p)


def test_the_prefix_keeps_every_image(bench: Bench, dataset: Path, tmp_path: Path) -> None:
    """Also a large one without a caption, whose tokens reach beyond the caption of another row."""
    first, second = islice(iter_split(dataset, "train_sft"), 2)
    large = encode_image(open_image(second["image"]).resize((256, 256)))
    write_dataset(tmp_path, {"train_sft": [first, {**second, "image": large, "response": "so then"}]})
    data = TrainingRows(read_split(tmp_path, "train_sft"), bench.rows.processor, seed=0)
    (batch,) = data.batch(0, 2, 2, rank=0, world=1)
    whole, short = (bench.gradient(Fixed(1.0), [double(batch)], measure) for measure in (False, True))
    assert_same(whole.values, short.values)


def test_ngdiffs_step_has_equal_projections_on_both_unit_gradients(bench: Bench) -> None:
    g_p, g_r = bench.apart(bench.batches())
    step = bench.gradient(NGDiff(floor=0), bench.batches()).values
    on_p, on_r = (inner(step, g) / inner(g, g) ** 0.5 for g in (g_p, g_r))
    assert on_p == pytest.approx(on_r, rel=1e-6)
    norm_p, norm_r = inner(g_p, g_p) ** 0.5, inner(g_r, g_r) ** 0.5
    lam = norm_r / (norm_p + norm_r)
    assert_same([lam * x + (1 - lam) * y for x, y in zip(g_p, g_r, strict=True)], step)


def test_pcgrads_step_is_the_mean_of_the_projected_gradients(bench: Bench) -> None:
    class Against(PCGrad):
        """Sees a conflict where there is none, by turning perception round."""

        def coefficients(self, statistics: StepStatistics) -> tuple[float, float]:
            turned = StepStatistics(**{**vars(statistics), "dot": -statistics.dot})
            c_p, c_r = super().coefficients(turned)
            return -c_p, c_r

    g_p, g_r = bench.apart(bench.batches())
    turned = [-x for x in g_p]
    dot = inner(turned, g_r)
    assert dot < 0
    new_p = [x - dot / inner(g_r, g_r) * y for x, y in zip(turned, g_r, strict=True)]
    new_r = [y - dot / inner(turned, turned) * x for x, y in zip(turned, g_r, strict=True)]
    assert abs(inner(new_p, g_r)) < 1e-9 * inner(g_r, g_r)
    step = bench.gradient(Against(), bench.batches()).values
    assert_same([(x + y) / 2 for x, y in zip(new_p, new_r, strict=True)], step)


@pytest.fixture(scope="module")
def abilities(checkpoint: Path, dataset: Path) -> Bench:
    """Rows that train perception alone, or reasoning alone and without an image."""
    return Bench(*load(checkpoint, device="cpu", dtype="float32"), dataset, "pretrain")


def test_abilities_apart_mix_as_usual(abilities: Bench) -> None:
    whole = abilities.gradient(NGDiff(), abilities.batches())
    assert whole.statistics.tokens_p > 0
    assert whole.statistics.tokens_r > 0
    assert_same(whole.values, abilities.gradient(NGDiff(), abilities.batches(1)).values)


@pytest.mark.parametrize("weighting", [TokenMean(), Fixed(0.3), NGDiff(), PCGrad()])
@pytest.mark.parametrize("measure", [False, True])
def test_a_batch_of_one_kind_has_the_plain_gradient_of_it(
    abilities: Bench, weighting: Weighting, measure: bool
) -> None:
    for batch in abilities.batches(1):
        gradient = abilities.gradient(weighting, [batch], measure)
        perception = bool(batch.perception.any())
        plain = Fixed(1.0) if perception else Fixed(0.0)
        assert gradient.coefficients == (float(perception), float(not perception))
        # beside a batch of the other kind, which plain does not count, the means are the same
        other = next(b for b in abilities.batches(1) if bool(b.perception.any()) != perception)
        assert_same(gradient.values, abilities.gradient(plain, [batch, other]).values)


def test_without_images_the_vision_tower_has_zeros_for_a_gradient(abilities: Bench) -> None:
    batch = next(b for b in abilities.batches(1) if "pixel_values" not in b.inputs)
    gradient = abilities.gradient(TokenMean(), [batch])
    for name, value in zip(abilities.names, gradient.values, strict=True):
        assert bool(value.any()) == ("visual" not in name), name
