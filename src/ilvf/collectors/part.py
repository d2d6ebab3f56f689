"""What a worker has: some environments, a copy of the policy, and a TorchRL collector."""

import io
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor
from torchrl.envs import EnvBase

from ilvf.checkpoints.hidden_states import restored_states, saved_states
from ilvf.checkpoints.restoring import restoring
from ilvf.checkpoints.state import load_env, load_generators, on_cpu, save_generators
from ilvf.data.rollout import last_states, make_collector, with_memory
from ilvf.envs.wrapped import saves_states
from ilvf.modules.actors.deterministic import NoisyActor

State = dict[str, Any]  # of a worker, in types that load safely
HERE = {"rank": 0, "world_size": 1}  # a worker's state is restored like that of a single process


@dataclass(frozen=True)
class Plan:
    """What a worker needs to begin.

    Attributes:
        make_env: builds the environments, called with `num_envs`, `seed` and `device`.
        policy: `packed`.
        num_envs: environments of this worker.
        steps: of each environment in a rollout.
        seed: of the worker's environments and of all its random numbers.
        saved: the state from which it goes on; None begins.
    """

    make_env: Callable[..., EnvBase]
    policy: bytes
    num_envs: int
    steps: int
    seed: int
    saved: State | None = None


@dataclass(frozen=True)
class Order:
    """What a worker needs for one rollout.

    Attributes:
        weights: the policy's parameters and buffers, on the CPU.
        random: whether a policy with a warm-up takes random actions.
        half: whether the networks compute in bfloat16.
    """

    weights: Mapping[str, Tensor]
    random: bool
    half: bool


def order_of(policy: TensorDictModuleBase, half: bool) -> Order:
    """The order for a rollout of the policy as it is now."""
    return Order(on_cpu(dict(policy.state_dict())), getattr(policy, "random", False), half)


def packed(policy: TensorDictModuleBase) -> bytes:
    """A policy as bytes, which are unpacked on the CPU."""
    file = io.BytesIO()
    torch.save(policy, file)
    return file.getvalue()


def unpacked(policy: bytes) -> TensorDictModuleBase:
    """The policy of `packed`, which this program has made, on the CPU."""
    return torch.load(io.BytesIO(policy), map_location="cpu", weights_only=False)


class Part:
    """Collects a worker's part of the rollouts, on the CPU.

    Args:
        plan: what it begins with.
    """

    def __init__(self, plan: Plan):
        random.seed(plan.seed)
        np.random.seed(plan.seed % 2**32)  # noqa: NPY002 (environments may draw from it)
        torch.manual_seed(plan.seed)
        self.plan = plan
        self.env = plan.make_env(num_envs=plan.num_envs, seed=plan.seed, device="cpu")
        self.policy = unpacked(plan.policy)
        hidden = {} if plan.saved is None else self._restore(plan.saved)
        self.pending = plan.saved  # its random generators are not restored yet
        env = with_memory(self.env, self.policy, hidden)
        self.collector = make_collector(env, self.policy, plan.steps)
        self.rollouts = iter(self.collector)

    def _restore(self, saved: State) -> Mapping[Any, Tensor]:
        """Restore environments and exploration noise; the hidden states of the policy."""
        load_env({"frames": 0, "ranks": [saved]}, self.env, **HERE, seed=self.plan.seed)
        noisy = noisy_of(self.policy)
        if noisy is not None:
            with restoring("exploration noise"):
                noisy.restore(saved.get("noise", {}), self.env.batch_size)
        return restored_states(saved, self.policy, self.env)

    @torch.no_grad()
    def collect(self, order: Order) -> tuple[TensorDictBase, State]:
        """A rollout `[B, T]` of the policy with the weights of an order, and the state after it."""
        self.policy.load_state_dict(order.weights)
        if hasattr(self.policy, "random"):
            self.policy.random = order.random
        if self.pending is not None:
            load_generators({"frames": 0, "ranks": [self.pending]}, self.env, 0)
            self.pending = None
        with torch.autocast("cpu", torch.bfloat16, enabled=order.half):
            rollout = next(self.rollouts)
        return rollout, self._state(rollout)

    def _state(self, rollout: TensorDictBase) -> State:
        """Enough to go on after this rollout, as far as the environments can be saved."""
        state = {
            "device": "cpu",
            "generators": save_generators(),
            "env": self.env.get_state() if saves_states(self.env) else {},
            **saved_states(last_states(rollout, self.policy)),
        }
        noisy = noisy_of(self.policy)
        return state if noisy is None else {**state, "noise": noisy.process}

    def close(self) -> None:
        """Close the environments."""
        self.collector.shutdown()


def noisy_of(policy: TensorDictModuleBase) -> NoisyActor | None:
    """The part of a policy that adds exploration noise."""
    found = [module for module in policy.modules() if isinstance(module, NoisyActor)]
    return found[0] if found else None
