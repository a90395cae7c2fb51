"""One process or several: the few places where it makes a difference.

Started by torchrun, each process is a rank with its share of every batch. On CPUs each rank holds the whole
model and gradients are summed over gloo; on GPUs the model is sharded by FSDP2, which sums them itself,
over NCCL. Everything else is written once, for shards that may be the whole.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

# Other ranks wait for the first one to validate.
_PATIENCE = timedelta(hours=12)


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together."""

    rank: int = 0
    world: int = 1
    device: torch.device = torch.device("cpu")  # noqa: RUF009 - immutable
    sharded: bool = False
    """Whether parameters and gradients are shards (FSDP2) rather than copies."""

    @property
    def first(self) -> bool:
        """Whether this is the rank that writes and speaks."""
        return self.rank == 0

    def shard(self, root: nn.Module, layers: Sequence[nn.Module]) -> None:
        """Shards `root` in place, each of `layers` as a unit of its own and the rest as one more."""
        if not self.sharded:
            return
        for module in (*layers, root):
            unit = fully_shard(module)
            assert isinstance(unit, FSDPModule)
            unit.set_gradient_divide_factor(1.0)  # sum, not mean, over ranks,
            unit.set_force_sum_reduction_for_comms(True)  # and by the operation that gloo has too

    def sum(self, values: Sequence[float]) -> list[float]:
        """Each of `values` summed over all ranks."""
        if self.world == 1:
            return list(values)
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return [float(x) for x in total.tolist()]

    def reduce_gradients(self, gradients: Sequence[Tensor]) -> None:
        """Sums copies of gradients over all ranks, in place."""
        if self.world > 1 and not self.sharded:
            for gradient in gradients:
                dist.all_reduce(gradient)

    def dot(self, a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
        """The inner product of two gradients, already summed over all ranks."""
        if not a:
            return 0.0
        product = torch.stack(
            [torch.dot(local(x).flatten(), local(y).flatten()) for x, y in zip(a, b, strict=True)]
        )
        total = float(product.double().sum())
        return self.sum([total])[0] if self.sharded else total

    def wait(self) -> None:
        if self.world > 1:
            dist.barrier()


def local(tensor: Tensor) -> Tensor:
    """This rank's shard of a tensor, or all of it."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


@contextmanager
def connected() -> Iterator[Ranks]:
    """Joins the other ranks if torchrun started this process, and parts from them at the end."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    gpu = torch.cuda.is_available()
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if gpu else torch.device("cpu")
    if gpu:
        torch.cuda.set_device(device)
    if world == 1:
        yield Ranks(device=device)
        return
    dist.init_process_group("nccl" if gpu else "gloo", timeout=_PATIENCE)
    try:
        yield Ranks(dist.get_rank(), world, device, sharded=gpu)
    finally:
        dist.destroy_process_group()
