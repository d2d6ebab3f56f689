"""`TensorCollector`: a collector of our environments without tensordicts between the steps.

TorchRL's loop builds and checks several tensordicts in every step. For small batches that takes as
long as the networks and the environment together. Here a step is a dict of tensors.
"""

from collections.abc import Sequence
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from tensordict.nn import TensorDictModuleBase
from tensordict.utils import NestedKey
from torch import Tensor
from torchrl.collectors import Collector
from torchrl.envs import EnvBase, TransformedEnv
from torchrl.envs.utils import set_exploration_type

from ilvf.data.carried import Carried
from ilvf.envs.base import BatchedWorlds
from ilvf.envs.entries import PADDING, Entries
from ilvf.modules.memory import forgotten

ACTION = ("agents", "action")
REWARD = ("agents", "reward")
STEPPING = ("_step", "_reset", "snapshot", "step", "reset", "maybe_reset", "step_and_maybe_reset")


class TensorCollector(Collector):
    """TorchRL's collector with a loop of its own over the steps of `BatchedWorlds`.

    Its rollouts are those of TorchRL's loop, bit for bit, but for the statistics of an episode
    `("episode", NAME)`. They are computed in the steps in which an episode ends and are 0 in all
    others. `return` and `length` are in every step.

    Arguments: those of `Collector`; `make_collector` gives them.
    """

    _carrier: TensorDictBase  # what the next step begins with

    @staticmethod
    def takes(env: EnvBase, policy: Any) -> bool:
        """Whether an environment and a policy can do without tensordicts between the steps.

        The environment must have the steps of `BatchedWorlds`. The policy must declare its keys,
        must not read statistics, and must not replace what it reads.
        """
        if not isinstance(policy, TensorDictModuleBase):
            return False
        worlds = worlds_of(env)
        if not isinstance(worlds, BatchedWorlds):
            return False
        changed = [x for x in STEPPING if getattr(type(worlds), x) != getattr(BatchedWorlds, x)]
        kept = {("episode", name) for name in worlds.statistic_names} | set(policy.out_keys)
        return not changed and not kept & set(policy.in_keys)

    @torch.no_grad()
    def rollout(self) -> TensorDictBase:
        """The next steps of all environments, `[B, T]`."""
        loop = Loop(worlds_of(self.env), self._wrapped_policy, self._carrier)
        with set_exploration_type(self.exploration_type):
            for _ in range(self.frames_per_batch):  # TorchRL has divided it by B
                loop.step()
        self._carrier = loop.present()
        return loop.rollout()


def worlds_of(env: EnvBase) -> Any:
    """The environment below a transform that carries hidden states, or itself."""
    carrying = isinstance(env, TransformedEnv) and type(env.transform) is Carried
    return env.base_env if carrying else env


class Loop:
    """Steps of a policy in an environment, and what they have recorded.

    Args:
        worlds: the environment.
        policy: writes its action, and hidden states after the step at `("next", key)`.
        first: what the first step begins with, `[B]`.
    """

    def __init__(self, worlds: BatchedWorlds, policy: Any, first: TensorDictBase):
        self.worlds = worlds
        self.policy = policy
        zero = torch.zeros(*worlds.batch_size, 1, device=worlds.device)
        self.no_flag = zero.bool()
        self.no_statistics: Entries = {("episode", x): zero for x in worlds.statistic_names}
        self.entries: Entries = {}  # before the next step
        for key in first.keys(True, True):
            if key != PADDING and key not in self.no_statistics:
                self.entries[key] = first.get(key)
        self.seen = [key for key in policy.in_keys if key in self.entries]
        self.shown = worlds.assembled({PADDING: self._padding()})
        self.written: list[NestedKey] = []
        self.before: list[Entries] = []
        self.after: list[Entries] = []

    def step(self) -> None:
        """One step of all environments; new episodes where one has ended."""
        worlds = self.worlds
        outputs = self._act()
        hidden = {root_key(key): outputs.pop(key) for key in self.written if key[0] == "next"}
        reward = worlds.move(outputs[ACTION])
        flags = worlds.flags()
        following: Entries = {**worlds.entries(), **flags, **hidden}
        self.before.append({**self.entries, **outputs})
        self.after.append({**following, **self.no_statistics, REWARD: reward})
        done = flags["done"]
        if done.any():
            self.after[-1] |= worlds.measured()
            worlds.restart(done)
            following = worlds.entries()
            following |= dict.fromkeys(flags, self.no_flag)
            for key, states in hidden.items():
                following[key] = forgotten(states, done.squeeze(-1))
        self.entries = following

    def _act(self) -> Entries:
        """What the policy writes in the present step."""
        for key in self.seen:
            self.shown.set(key, self.entries[key])
        given = set() if self.written else set(self.shown.keys(True, True))
        found = self.policy(self.shown)
        if not self.written:  # the first step
            self.written = [key for key in found.keys(True, True) if key not in given]
        return {key: found.get(key) for key in self.written}

    def present(self) -> TensorDict:
        """What the next step begins with, `[B]`."""
        padding: Entries = {PADDING: self._padding()}
        return self.worlds.assembled({**self.entries, **self.no_statistics, **padding})

    def rollout(self) -> TensorDict:
        """All steps, `[B, T]`."""
        before = self._stacked(self.before, self.no_statistics)
        before.set("next", self._stacked(self.after))
        return before.refine_names(..., "time")

    def _stacked(self, steps: Sequence[Entries], constant: Entries | None = None) -> TensorDict:
        """The entries of all steps, `[B, T]`, and those that are the same in all."""
        number = len(steps)
        found: Entries = {PADDING: self._padding(number)}
        for key in steps[0]:
            found[key] = torch.stack([step[key] for step in steps], 1)
        for key, value in (constant or {}).items():
            found[key] = value.unsqueeze(1).expand(-1, number, -1)
        return self.worlds.assembled(found, number)

    def _padding(self, *steps: int) -> Tensor:
        """`observation_mask` of all environments and steps, which takes no memory."""
        return self.worlds.observation_mask.expand(*self.worlds.batch_size, *steps, -1, -1)


def root_key(key: NestedKey) -> NestedKey:
    """`key` of `("next", key)`."""
    rest = key[1:]
    return rest[0] if len(rest) == 1 else rest
