"""Who steps what: every trained parameter once, and only the weights of hidden linear layers by Muon."""

from pathlib import Path

import pytest
from torch import nn

from percasym.models import load
from percasym.sft.config import SFTConfig
from percasym.training.muon import Muon
from percasym.training.optimizer import build_optimizers


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_every_parameter_has_one_optimizer(config: SFTConfig, checkpoint: Path, optimizer: str) -> None:
    model, _ = load(checkpoint, device="cpu", dtype="float32")
    parameters = [p for name, p in model.named_parameters() if "visual" not in name]
    optimizers = build_optimizers(model, parameters, config.model_copy(update={"optimizer": optimizer}))
    groups = [(o, group) for o in optimizers for group in o.param_groups]
    assert sorted(id(p) for _, group in groups for p in group["params"]) == sorted(map(id, parameters))
    for _, group in groups:
        decays = {p.ndim >= 2 for p in group["params"]}
        assert decays == {group["weight_decay"] > 0}

    by_muon = {id(p) for o, group in groups if isinstance(o, Muon) for p in group["params"]}
    layers = model.base_model.language_model.layers.modules()
    linear = {id(layer.weight) for layer in layers if isinstance(layer, nn.Linear)}
    assert by_muon == (linear if optimizer == "muon" else set())
