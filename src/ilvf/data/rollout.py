"""From environments to minibatches: one pass over a loader is one iteration of an algorithm."""

from collections.abc import Callable, Iterator

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torchrl.collectors import Collector
from torchrl.envs import EnvBase


def make_collector(env: EnvBase, policy: TensorDictModuleBase, steps: int) -> Collector:
    """A TorchRL collector that yields rollouts `[B, steps]` for ever, with as little overhead per step as it has."""
    return Collector(
        env,
        policy,
        frames_per_batch=env.batch_size.numel() * steps,
        total_frames=-1,
        device=env.device,
        trust_policy=True,
        track_traj_ids=False,
        use_buffers=False,
        no_cuda_sync=True,
        auto_register_policy_transforms=False,
    )


class RolloutLoader:
    """A sized iterable whose every pass collects afresh and yields `epochs × minibatches` shuffled minibatches.

    Args:
        collect: returns the flat batch `[frames]` of a new rollout, advantages included.
        epochs, minibatches: passes over the batch, and pieces of each pass.
        renew: called with the batch before every pass but the first.
    """

    def __init__(
        self,
        collect: Callable[[], TensorDictBase],
        *,
        epochs: int,
        minibatches: int,
        renew: Callable[[TensorDictBase], object] | None = None,
    ):
        self.collect, self.epochs, self.minibatches, self.renew = (
            collect,
            epochs,
            minibatches,
            renew,
        )

    def __len__(self) -> int:
        return self.epochs * self.minibatches

    def __iter__(self) -> Iterator[TensorDictBase]:
        batch = self.collect()
        for epoch in range(self.epochs):
            if epoch and self.renew is not None:
                self.renew(batch)
            yield from shuffled(batch, self.minibatches)


class ReplayLoader:
    """A sized iterable whose every pass collects once and then yields `updates` minibatches of earlier transitions.

    Args:
        collect: puts new transitions into a buffer.
        sample: draws a minibatch from it.
        updates: minibatches of each pass.
    """

    def __init__(
        self, collect: Callable[[], object], sample: Callable[[], TensorDictBase], *, updates: int
    ):
        self.collect, self.sample, self.updates = collect, sample, updates

    def __len__(self) -> int:
        return self.updates

    def __iter__(self) -> Iterator[TensorDictBase]:
        self.collect()
        for _ in range(self.updates):
            yield self.sample()


def shuffled(batch: TensorDictBase, pieces: int) -> Iterator[TensorDictBase]:
    """The rows of a flat batch in random order, in `pieces` parts; the batch itself where order does not matter."""
    if pieces == 1:
        yield batch
        return
    order = torch.randperm(len(batch), device=batch.device)
    for rows in order.tensor_split(pieces):
        yield batch[rows]
