"""The puzzles of a study: instances and their images, no instance in two splits.

A data set of one shard is made here and now, a larger one on the task runner of choice. It is the same
wherever and in whatever order its files are made.
"""

from collections import Counter

from percasym.folders import remove
from percasym.sections import DataSection
from tasks.shards import over_shards
from tasks.show import show_samples
from tasks.stage import Work, stage


@stage(children=("percasym.generation",))
def generate(work: Work, config: DataSection) -> None:
    from percasym.datasets import gather_shards
    from percasym.generation import files, make, plan

    shards = plan(config, work.machine.shard_items, work.scratch / "shards")
    total = sum(shard.rows for shard in shards)
    if len(shards) == 1:
        remove(shards[0].out)  # what a killed attempt left, which nobody has compared with anything
        make(shards[0], lambda done: work.progress(done, total))
    else:
        done = Counter[int]()
        configs = [shard.model_dump(mode="json") for shard in shards]
        for record in over_shards(work.machine, "percasym.generation", configs, work.scratch):
            done[record["shard"]] = record["done"]
            work.progress(done.total(), total)
    gather_shards(work.folder, files(shards))
    show_samples(work.folder, "test", f"{config.puzzle}, style {config.style}")
