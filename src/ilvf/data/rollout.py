"""Loaders that collect rollouts and yield minibatches; one pass over a loader is one iteration."""

from collections.abc import Callable, Iterator, Mapping

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from tensordict.utils import NestedKey
from torch import Tensor
from torchrl.collectors import Collector
from torchrl.data import Composite
from torchrl.envs import EnvBase, TransformedEnv

from ilvf.data.carried import Carried
from ilvf.data.tensor_collector import TensorCollector
from ilvf.modules.memory import forgotten, memories_of


def make_collector(env: EnvBase, policy: TensorDictModuleBase, steps: int) -> Collector:
    """A TorchRL collector that yields rollouts `[B, steps]` without end.

    Options that cost time (trajectory ids, buffers, synchronization, a copy of every rollout) are
    off. For our own environments it is a `TensorCollector`.
    """
    kind = TensorCollector if TensorCollector.takes(env, policy) else Collector
    return kind(
        env,
        policy,
        frames_per_batch=env.batch_size.numel() * steps,
        total_frames=-1,
        device=env.device,
        trust_policy=True,
        track_traj_ids=False,
        use_buffers=False,
        return_same_td=True,  # without buffers each rollout is new
        no_cuda_sync=True,
        auto_register_policy_transforms=False,
    )


def with_memory(
    env: EnvBase,
    policy: TensorDictModuleBase,
    first: Mapping[NestedKey, Tensor] | None = None,
) -> EnvBase:
    """The environment, such that its tensordicts carry the hidden states of a policy.

    They are 0 where an episode begins. An environment for a policy without memory stays as it is.

    Args:
        env: a batch of environments.
        policy: an actor, or a sequence of modules.
        first: see `Carried`.
    """
    memories = memories_of(policy)
    if not memories:
        return env
    specs = Composite()
    for memory in memories:
        specs.update(memory.spec)
    return TransformedEnv(env, Carried(specs, first or {}))


def last_states(rollout: TensorDictBase, policy: TensorDictModuleBase) -> dict[NestedKey, Tensor]:
    """Key → hidden states `[B, N, S]` with which a policy goes on after a rollout `[B, T]`."""
    found = {}
    last = rollout[:, -1]["next"]
    for memory in memories_of(policy):
        found[memory.key] = forgotten(last[memory.key], last["done"].squeeze(-1))
    return found


class RolloutLoader:
    """On-policy loader: each pass collects one rollout and yields `epochs × minibatches` batches.

    Args:
        collect: returns a new rollout with its advantages, as rows `[frames]`, or for recurrent
            networks as chunks `[chunks, steps]`.
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
    """The rows, or chunks, of a batch in random order, in `pieces` parts of nearly equal size.

    With one piece the batch itself is yielded, unshuffled: the order of rows does not change a
    full-batch loss.
    """
    if pieces == 1:
        yield batch
        return
    order = torch.randperm(len(batch), device=batch.device)
    for rows in order.tensor_split(pieces):
        yield batch[rows]
