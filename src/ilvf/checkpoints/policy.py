"""A trained team: its actor from a checkpoint, and the plain callable that users get."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tensordict import TensorDict
from torch import Tensor, nn
from torchrl.envs.utils import ExplorationType, set_exploration_type

from ilvf.checkpoints.files import find_checkpoint, read_checkpoint
from ilvf.checkpoints.restoring import restoring
from ilvf.checkpoints.verify import ACTOR
from ilvf.errors import UsageError, require
from ilvf.modules import (
    CategoricalActor,
    DeterministicActor,
    GaussianActor,
    GreedyActor,
    MultiCategoricalActor,
)
from ilvf.modules.actors.tempered import tempered
from ilvf.modules.checks import require_tensor, require_truth
from ilvf.options import shown
from ilvf.options.arguments import require_device, require_kind, require_number
from ilvf.options.checks import require_usable_path

Actor = CategoricalActor | MultiCategoricalActor | GreedyActor | GaussianActor | DeterministicActor
KINDS: dict[str, type[Actor]] = {
    "categorical": CategoricalActor,
    "multi_categorical": MultiCategoricalActor,
    "greedy": GreedyActor,
    "gaussian": GaussianActor,
    "deterministic": DeterministicActor,
}


LARGEST_SET = 1_000_000  # numbers of an observation with sets of entities

ARGUMENTS = {  # of an actor → type; those that its options check are left out
    "n_agents": int,
    "observation_dim": int,
    "n_actions": int,
    "low": list,
    "high": list,
    "counts": list,
    "parts": list,
    "masked": bool,
    "group": str,
}


class Policy(nn.Module):
    """A trained team as a plain callable, without TensorDicts.

        actions = policy(observation)          # [*B, N, Do] → [*B, N], or [*B, N, A] numbers

    Deterministic by default; `deterministic=False` samples. Continuous actions are in the units of
    the environment and within its bounds.

    A recurrent team remembers from call to call. Either call `reset` where episodes begin, or use
    `step`, which takes and returns the memory:

        actions, state = policy.step(observation, state)

    Args:
        actor: the team's networks.
        config: of the run that trained them.

    Attributes:
        state: the hidden states `[*B, N, S]` after the last call; None before the first.
    """

    def __init__(self, actor: Actor, config: dict[str, Any]):
        super().__init__()
        self.actor = actor
        self.config = config
        self.register_buffer("state", None, persistent=False)  # so that `to` moves it

    state: Tensor | None

    def __repr__(self) -> str:
        a = self.actor.arguments
        shape = f"{a['n_agents']} agents, {a['observation_dim']} → {self.actor.actions}"
        masked = ", masked" if self.actor.masked else ""
        recurrent = ", recurrent" if self.actor.memory is not None else ""
        name = self.config.get("recipe", type(self.actor).__name__)
        return f"Policy({name}: {shape}{masked}{recurrent})"

    def reset(self, ended: Tensor | None = None) -> None:
        """Forget everything, where new episodes begin.

        Args:
            ended: bool `[*B]`: only of these rows. None: of all.
        """
        if ended is None or self.state is None:
            self.state = None
            return
        require_truth("ended", ended)
        found = tuple(ended.shape)
        need = tuple(self.state.shape[:-2])
        require(found == need, f"ended has shape {found}, and the last call had {need}")
        self.state = self.state.masked_fill(ended[..., None, None], 0)

    def forward(
        self,
        observation: Tensor,
        action_mask: Tensor | None = None,
        *,
        deterministic: bool = True,
    ) -> Tensor:
        """Actions `[*B, N]`, `[*B, N, D]` of several choices, `[*B, N, A]` if continuous.

        Args:
            observation: `[*B, N, Do]`.
            action_mask: bool `[*B, N, A]`, where some actions can be impossible.
            deterministic: take the most likely actions; False samples.
        """
        actions, self.state = self.step(
            observation, self.state, action_mask, deterministic=deterministic
        )
        return actions

    @torch.no_grad()
    def step(
        self,
        observation: Tensor,
        state: Tensor | None = None,
        action_mask: Tensor | None = None,
        *,
        deterministic: bool = True,
    ) -> tuple[Tensor, Tensor | None]:
        """Actions, and the hidden states after them; without a memory, None.

        Args:
            observation: `[*B, N, Do]`.
            state: hidden states `[*B, N, S]` of the step before; None where episodes begin.
            action_mask, deterministic: see `forward`.
        """
        self._require_inputs(observation, action_mask)
        inputs = [observation] if action_mask is None else [observation, action_mask]
        memory = self.actor.memory
        require(
            memory is not None or state is None, "this policy has no memory; leave out the state"
        )
        if memory is not None:
            inputs.append(self._state_for(observation, state))
        flat = [x.reshape(-1, *x.shape[-2:]) for x in inputs]
        td = TensorDict(dict(zip(self.actor.in_keys, flat, strict=True)), len(flat[0]))
        mode = ExplorationType.DETERMINISTIC if deterministic else ExplorationType.RANDOM
        with set_exploration_type(mode):
            out = self.actor(td)
        batch = observation.shape[:-2]
        event = (observation.shape[-2], *self.actor.actions.event)
        actions = out[self.actor.out_keys[0]].reshape(*batch, *event)
        if memory is None:
            return actions, None
        return actions, out[self.actor.out_keys[-1]].reshape(*batch, *memory.sizes)

    def _state_for(self, observation: Tensor, state: Tensor | None) -> Tensor:
        """The hidden states for a step: zeros where they are None."""
        memory = self.actor.memory
        if state is None:
            return memory.start(*observation.shape[:-2])
        require_tensor("the state", state)
        found = tuple(state.shape)
        need = (*observation.shape[:-2], *memory.sizes)
        require(
            found == need,
            f"the hidden states have shape {found}, and observations of shape "
            f"{tuple(observation.shape)} need {need}; call policy.reset() where episodes begin",
        )
        return state

    def _require_inputs(self, observation: Tensor, action_mask: Tensor | None) -> None:
        arguments = self.actor.arguments
        n, size = arguments["n_agents"], arguments["observation_dim"]
        kinds = Tensor | np.ndarray
        require_kind("Policy", "observation", observation, kinds, "a tensor or an array")
        require(
            tuple(observation.shape[-2:]) == (n, size),
            f"the policy needs observations [..., {n}, {size}], found {tuple(observation.shape)}",
        )
        masked = self.actor.masked
        word = "" if masked else "not "
        require(
            masked == (action_mask is not None),
            f"action_mask must {word}be given to this policy",
        )
        if torch.compiler.is_compiling():  # what follows reads the device
            return
        if action_mask is not None:  # exported programs have symbols for these sizes
            wanted = (*observation.shape[:-1], self.actor.actions.width)
            found = tuple(action_mask.shape)
            require(found == wanted, f"action_mask has shape {found}, need {wanted}")
        rows = torch.isfinite(torch.as_tensor(observation)).all(-1)
        if not rows.all():
            agents = (~rows).reshape(-1, n).any(0).nonzero().flatten().tolist()
            raise UsageError(f"the observations of agents {agents} have NaN or infinite numbers")


def arguments_of(actor: Actor) -> dict[str, Any]:
    """What a checkpoint keeps of an actor beside its parameters: kind, constructor arguments."""
    kind = next((name for name, cls in KINDS.items() if type(actor) is cls), None)
    return {"kind": kind, **actor.arguments}


def actor_of(content: Mapping[str, Any], path: object = "the checkpoint") -> Actor:
    """The actor in the content of a checkpoint.

    Args:
        path: of the checkpoint, for messages.
    """
    state = {}
    for name, value in content["state_dict"].items():
        if name.startswith(ACTOR):
            state[name.removeprefix(ACTOR)] = value
    arguments = dict(content["ilvf"]["actor"])
    kind = arguments.pop("kind", "categorical")  # checkpoints of the first version name no kind
    if "image" in arguments:  # an older name
        arguments["parts"] = [arguments.pop("image")]
    require(
        isinstance(kind, str) and kind in KINDS,
        f"{path}: its actor is of the kind {shown(kind)}; this version knows {', '.join(KINDS)}",
    )
    with restoring("actor", path):
        require_arguments(arguments, state)
        return KINDS[kind].rebuild(arguments, state)


def require_arguments(arguments: Mapping[str, Any], state: Mapping[str, Tensor]) -> None:
    """Raise unless an actor's arguments have the right types, and sizes no larger than its weights.

    A wrong size could otherwise exhaust the memory before it is compared.
    """
    for name, kind in ARGUMENTS.items():
        value = arguments.get(name, kind())
        require(type(value) is kind, f"{name} is {shown(value)}")
    weights = sum(value.numel() for value in state.values())
    for name, value in arguments.items():
        most = len(state) if name == "depth" else weights
        if name == "observation_dim" and arguments.get("parts"):
            most = LARGEST_SET  # the weights do not grow with the entities of a set
        require(
            all(not isinstance(x, int) or abs(x) <= max(most, 1) for x in numbers_in(value)),
            f"{name} is {shown(value)}, more than its weights have",
        )


def numbers_in(value: Any) -> list[Any]:
    """The entries of nested lists and dicts, side by side; a single value is the only entry."""
    if isinstance(value, dict):
        return numbers_in(list(value.values()))
    if not isinstance(value, list):
        return [value]
    return [entry for row in value for entry in numbers_in(row)]


def load_policy(
    path: str | Path, device: torch.device | str = "cpu", *, temperature: float = 1.0
) -> Policy:
    """The policy of a checkpoint.

    Args:
        path: a checkpoint file, or a run's folder, for its best checkpoint.
        device: where its networks are put.
        temperature: T of its probabilities, see `tempered`; it matters where actions are sampled.

    Raises:
        UsageError: there is no checkpoint or it is damaged, there is no such device, or the policy
            has no probabilities of discrete actions.
    """
    require_kind("load_policy", "path", path, str | Path, "the path of a checkpoint")
    require_usable_path("load_policy: path", str(path))
    require_device("load_policy", device)
    require_number("load_policy", "temperature", temperature, above=0)
    file = find_checkpoint(str(path), Path("runs"), prefer="best")
    content = read_checkpoint(file)
    actor = tempered(actor_of(content, file), temperature)
    return Policy(actor.to(device), content["ilvf"]["config"])


# ---------------------------------------------------------------------- without a checkpoint
def policy_parts(policy: Policy) -> dict[str, Any]:
    """A policy as tensors and plain values, for `policy_of_parts`."""
    return {
        "actor": arguments_of(policy.actor),
        "weights": policy.actor.state_dict(),
        "config": policy.config,
    }


def policy_of_parts(parts: Mapping[str, Any], path: object) -> Policy:
    """The policy of `policy_parts`.

    Args:
        path: of their file, for messages.
    """
    state = {f"{ACTOR}{name}": value for name, value in parts["weights"].items()}
    actor = actor_of({"state_dict": state, "ilvf": {"actor": parts["actor"]}}, path)
    return Policy(actor, dict(parts["config"]))
