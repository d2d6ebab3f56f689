"""Finding, reading and using checkpoints."""

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO
from tensordict import TensorDict
from torch import Tensor, nn
from torchrl.envs.utils import ExplorationType, set_exploration_type

from ilvf.errors import UsageError, require
from ilvf.modules import CategoricalActor
from ilvf.modules.greedy import GreedyActor

Actor = CategoricalActor | GreedyActor
ACTOR = "loss.actor."
KINDS: dict[str, type[CategoricalActor] | type[GreedyActor]] = {"categorical": CategoricalActor, "greedy": GreedyActor}
RESUMED = "ILVF_RESUMED"  # tells the other processes of a run what `last` was


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes beside the target and renames, so that a kill at any moment leaves a whole checkpoint."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        part = Path(f"{path}.part")
        part.parent.mkdir(parents=True, exist_ok=True)
        torch.save(checkpoint, part)
        part.replace(path)


def find_checkpoint(name: str, out: Path, prefer: str = "last") -> Path:
    """`last` → the newest run below `out`; a run's folder → its `prefer` checkpoint, or the other; a file → itself."""
    path = Path(name)
    if name == "last" and "LOCAL_RANK" in os.environ and RESUMED in os.environ:
        path = Path(os.environ[RESUMED])  # what the first process of this run has found
    elif name == "last":
        found = sorted(out.glob("*/checkpoints/last.ckpt"), key=lambda p: p.stat().st_mtime)
        require(bool(found), f"no run with a checkpoint below {out.resolve()}; give a path, or out=FOLDER")
        path = found[-1].parent.parent
    if path.is_dir():
        choices = [path / "checkpoints" / f"{k}.ckpt" for k in (prefer, "last")]
        path = next((p for p in choices if p.is_file()), choices[0])
    require(path.is_file(), f"checkpoint {path} does not exist")
    return path.resolve()


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The content of one of our checkpoints, loaded with `weights_only=True` on the CPU."""
    require(Path(path).is_file(), f"checkpoint {path} does not exist")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"checkpoint {path} cannot be read, it is truncated or no checkpoint ({reason})") from error
    require(
        isinstance(content, dict) and "ilvf" in content and "state_dict" in content,
        f"{path} is not a checkpoint of this library: it has no 'ilvf' entry",
    )
    return content


def require_fit(path: str | Path, content: Mapping[str, Any], module: nn.Module) -> None:
    """Raise unless the checkpoint's networks are built like `module`'s: options, names and shapes."""
    loss: Any = module.loss
    before, now = content["ilvf"].get("actor", {}), arguments_of(loss.actor)
    for key in sorted(before.keys() & now.keys()):
        require(
            before[key] == now[key],
            f"checkpoint {path} does not fit this config: {key} is {before[key]} there, {now[key]} here; leave it out",
        )
    saved, own = content["state_dict"], module.state_dict()
    require(
        not any(name.startswith("advantage.") for name in saved),
        f"checkpoint {path} was made by an older version of this library in another format; train it again",
    )
    for name in sorted({*saved, *own}):
        found = tuple(saved[name].shape) if name in saved else "missing"
        need = tuple(own[name].shape) if name in own else "missing"
        require(
            found == need,
            f"checkpoint {path} does not fit this config: {name} is {found} there, {need} here; "
            "leave out the arguments that change the networks or the environment",
        )


class Policy:
    """A trained team as a plain callable, with no TensorDict in sight.

        actions = policy(observation)          # [*B, N, Do] → [*B, N]

    Deterministic by default; `deterministic=False` samples. `action_mask` `[*B, N, A]` where actions can be impossible.
    """

    def __init__(self, actor: Actor, config: dict[str, Any]):
        self.actor, self.config = actor, config

    @torch.no_grad()
    def __call__(self, observation: Tensor, action_mask: Tensor | None = None, *, deterministic: bool = True) -> Tensor:
        need = (self.actor.arguments["n_agents"], self.actor.arguments["observation_dim"])
        found = tuple(observation.shape[-2:])
        require(
            found == need,
            f"the policy needs observations [..., {need[0]}, {need[1]}], found {tuple(observation.shape)}",
        )
        masked = self.actor.masked
        require(
            masked == (action_mask is not None), f"action_mask must {'' if masked else 'not '}be given to this policy"
        )
        given = (observation,) if action_mask is None else (observation, action_mask)
        flat = [x.reshape(-1, *x.shape[-2:]) for x in given]
        mode = ExplorationType.DETERMINISTIC if deterministic else ExplorationType.RANDOM
        with set_exploration_type(mode):
            out = self.actor(TensorDict(dict(zip(self.actor.in_keys, flat, strict=True)), len(flat[0])))
        return out[self.actor.out_keys[0]].reshape(observation.shape[:-1])


def arguments_of(actor: Actor) -> dict[str, Any]:
    """What a checkpoint keeps of an actor beside its parameters: its kind and constructor arguments."""
    kind = next((k for k, v in KINDS.items() if type(actor) is v), None)
    return {"kind": kind, **actor.arguments}


def actor_of(content: Mapping[str, Any]) -> Actor:
    """The actor in the content of a checkpoint."""
    state = {k.removeprefix(ACTOR): v for k, v in content["state_dict"].items() if k.startswith(ACTOR)}
    arguments = dict(content["ilvf"]["actor"])
    kind = arguments.pop("kind", "categorical")  # what there was before kinds were written
    require(kind in KINDS, f"the checkpoint's actor is of the kind {kind!r}; this version knows {', '.join(KINDS)}")
    return KINDS[kind].rebuild(arguments, state)


def load_policy(path: str | Path, device: torch.device | str = "cpu") -> Policy:
    """The policy of a checkpoint."""
    content = read_checkpoint(path)
    return Policy(actor_of(content).to(device), content["ilvf"]["config"])
