"""Fine-tunes by TRL what `percasym export DATA --to trl --out FOLDER` wrote, then reinforces what came of it.

python train_with_trl.py FOLDER MODEL OUT STEPS
"""

import sys

import torch
from datasets import load_dataset
from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

from percasym.judgement import score
from percasym.puzzles import load_spec


def right(completions, ground_truth, puzzle, **_):
    """The reward: whether the answer is right. `ground_truth` and `puzzle` are columns of the export."""
    rewards = []
    for completion, truth, spec in zip(completions, ground_truth, puzzle, strict=True):
        family = load_spec(spec)
        rewards.append(float(score(family, family.read_ground_truth(truth), completion[0]["content"]).a))
    return rewards


if __name__ == "__main__":
    folder, model, out, steps = sys.argv[1:]
    on_gpu = torch.cuda.is_available()
    settings = {"max_steps": int(steps), "logging_steps": 1, "report_to": "none", "bf16": on_gpu}

    taught = load_dataset(folder, "prompt_completion", split="train_sft")
    config = SFTConfig(output_dir=f"{out}/sft", max_length=None, **settings)  # a cut could fall into an image
    trainer = SFTTrainer(model, config, train_dataset=taught)
    trainer.train()
    trainer.save_model(f"{out}/sft")

    prompts = load_dataset(folder, "prompt_only", split="train_rl")
    config = GRPOConfig(output_dir=f"{out}/grpo", max_completion_length=32, **settings)
    GRPOTrainer(f"{out}/sft", right, config, train_dataset=prompts).train()
