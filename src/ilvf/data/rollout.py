"""Loaders that collect rollouts and yield minibatches; one pass over a loader is one iteration."""

from collections.abc import Callable, Iterator

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torchrl.collectors import Collector
from torchrl.envs import EnvBase


def make_collector(env: EnvBase, policy: TensorDictModuleBase, steps: int) -> Collector:
    """A TorchRL collector that yields rollouts `[B, steps]` without end.

    Options that cost time in every step (trajectory ids, buffers, synchronization) are off.
    """
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
    """On-policy loader: each pass collects one rollout and yields `epochs × minibatches` batches.

    Args:
        collect: returns the flat batch `[frames]` of a new rollout, including advantages.
        epochs: passes over the batch.
        minibatches: parts that the batch is split into, shuffled anew in every epoch.
        renew: called with the batch before every epoch but the first, for example to recompute
            advantages; None skips it.
    """

    def __init__(
        self,
        collect: Callable[[], TensorDictBase],
        *,
        epochs: int,
        minibatches: int,
        renew: Callable[[TensorDictBase], object] | None = None,
    ):
        self.collect = collect
        self.epochs = epochs
        self.minibatches = minibatches
        self.renew = renew

    def __len__(self) -> int:
        return self.epochs * self.minibatches

    def __iter__(self) -> Iterator[TensorDictBase]:
        batch = self.collect()
        for epoch in range(self.epochs):
            if epoch > 0 and self.renew is not None:
                self.renew(batch)
            yield from shuffled(batch, self.minibatches)


class ReplayLoader:
    """Off-policy loader: each pass collects once and yields `updates` replayed minibatches.

    Args:
        collect: collects new transitions and adds them to a buffer.
        sample: draws a minibatch from the buffer.
        updates: minibatches of each pass.
    """

    def __init__(
        self, collect: Callable[[], object], sample: Callable[[], TensorDictBase], *, updates: int
    ):
        self.collect = collect
        self.sample = sample
        self.updates = updates

    def __len__(self) -> int:
        return self.updates

    def __iter__(self) -> Iterator[TensorDictBase]:
        self.collect()
        for _ in range(self.updates):
            yield self.sample()


def shuffled(batch: TensorDictBase, pieces: int) -> Iterator[TensorDictBase]:
    """The rows of a flat batch in random order, in `pieces` parts of nearly equal size.

    With one piece the batch itself is yielded, unshuffled: the order of rows does not change a
    full-batch loss.
    """
    if pieces == 1:
        yield batch
        return
    order = torch.randperm(len(batch), device=batch.device)
    for rows in order.tensor_split(pieces):
        yield batch[rows]
