"""A trained team: its actor out of a checkpoint, and the plain callable that users get."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor
from torchrl.envs.utils import ExplorationType, set_exploration_type

from ilvf.checkpoints.files import read_checkpoint
from ilvf.errors import require
from ilvf.modules import CategoricalActor, GreedyActor

Actor = CategoricalActor | GreedyActor


class Policy:
    """A trained team as a plain callable, with no TensorDict in sight.

        actions = policy(observation)          # [*B, N, Do] → [*B, N]

    Deterministic by default; `deterministic=False` samples. `action_mask` `[*B, N, A]` where actions can be impossible.
    """

    def __init__(self, actor: Actor, config: dict[str, Any]):
        self.actor, self.config = actor, config

    @torch.no_grad()
    def __call__(
        self, observation: Tensor, action_mask: Tensor | None = None, *, deterministic: bool = True
    ) -> Tensor:
        need = (self.actor.arguments["n_agents"], self.actor.arguments["observation_dim"])
        found = tuple(observation.shape[-2:])
        require(
            found == need,
            f"the policy needs observations [..., {need[0]}, {need[1]}], found {tuple(observation.shape)}",
        )
        masked = self.actor.masked
        require(
            masked == (action_mask is not None),
            f"action_mask must {'' if masked else 'not '}be given to this policy",
        )
        given = (observation,) if action_mask is None else (observation, action_mask)
        flat = [x.reshape(-1, *x.shape[-2:]) for x in given]
        mode = ExplorationType.DETERMINISTIC if deterministic else ExplorationType.RANDOM
        with set_exploration_type(mode):
            out = self.actor(
                TensorDict(dict(zip(self.actor.in_keys, flat, strict=True)), len(flat[0]))
            )
        return out[self.actor.out_keys[0]].reshape(observation.shape[:-1])


ACTOR = "loss.actor."


KINDS: dict[str, type[CategoricalActor] | type[GreedyActor]] = {
    "categorical": CategoricalActor,
    "greedy": GreedyActor,
}


def arguments_of(actor: Actor) -> dict[str, Any]:
    """What a checkpoint keeps of an actor beside its parameters: its kind and constructor arguments."""
    kind = next((k for k, v in KINDS.items() if type(actor) is v), None)
    return {"kind": kind, **actor.arguments}


def actor_of(content: Mapping[str, Any]) -> Actor:
    """The actor in the content of a checkpoint."""
    state = {
        k.removeprefix(ACTOR): v for k, v in content["state_dict"].items() if k.startswith(ACTOR)
    }
    arguments = dict(content["ilvf"]["actor"])
    kind = arguments.pop("kind", "categorical")  # what there was before kinds were written
    require(
        kind in KINDS,
        f"the checkpoint's actor is of the kind {kind!r}; this version knows {', '.join(KINDS)}",
    )
    return KINDS[kind].rebuild(arguments, state)


def load_policy(path: str | Path, device: torch.device | str = "cpu") -> Policy:
    """The policy of a checkpoint."""
    content = read_checkpoint(path)
    return Policy(actor_of(content).to(device), content["ilvf"]["config"])
