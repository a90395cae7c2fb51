"""The puzzles of a study: instances and their images, no instance in two splits."""

from percasym.config import DataSection
from percasym.puzzles import Split
from tasks.show import show_samples
from tasks.stage import Work, stage


@stage()
def generate(work: Work, config: DataSection) -> None:
    from percasym.datasets import generate_rows, write_dataset

    puzzle = config.load_puzzle(config.style)
    sizes: dict[Split, int] = {
        "train_sft": config.train_items,
        "train_rl": config.rl_items,
        "validation": config.validation_items,
        "test": config.test_items,
    }
    done = 0
    for split, size in sizes.items():
        rows = work.progress.count(generate_rows(puzzle, split, config.seed, size), done, sum(sizes.values()))
        write_dataset(work.folder, {split: rows})
        done += size
    show_samples(work.folder, "test", f"{config.puzzle}, style {config.style}")
