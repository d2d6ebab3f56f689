"""Where the data comes from: one scenario a file."""

import importlib
from typing import TYPE_CHECKING, Any

from ilvf.errors import require
from ilvf.lazy import lazily

if TYPE_CHECKING:
    import torch
    from torchrl.envs import EnvBase

    from ilvf.envs.base import BatchedEnv
    from ilvf.envs.cacc.env import CACC
    from ilvf.envs.capture_prey.env import CapturePrey
    from ilvf.envs.check import EnvFacts, check_env
    from ilvf.envs.encircle import Encircle
    from ilvf.envs.graphs import value_graph
    from ilvf.envs.pettingzoo.env import PettingZoo
    from ilvf.envs.pettingzoo.export import as_pettingzoo
    from ilvf.envs.tabular.env import Tabular
    from ilvf.envs.tabular.games import make_game
    from ilvf.envs.tabular.theory import TabularGame

__all__ = [
    "CACC",
    "BatchedEnv",
    "CapturePrey",
    "Encircle",
    "EnvFacts",
    "PettingZoo",
    "Tabular",
    "TabularGame",
    "as_pettingzoo",
    "check_env",
    "make_env",
    "make_game",
    "value_graph",
]

SCENARIOS = {  # name → (module, class)
    "encircle": ("encircle", "Encircle"),
    "capture_prey": ("capture_prey.env", "CapturePrey"),
    "cacc": ("cacc.env", "CACC"),
    "tabular": ("tabular.env", "Tabular"),
}
TRAFFIC = ("large_grid", "monaco", "sumo")  # scenarios on SUMO, see `ilvf.envs.traffic`
PETTINGZOO = "pettingzoo"

__getattr__ = lazily(
    __name__,
    {
        "base": ["BatchedEnv"],
        "graphs": ["value_graph"],
        "check": ["check_env", "EnvFacts"],
        "encircle": ["Encircle"],
        "capture_prey.env": ["CapturePrey"],
        "cacc.env": ["CACC"],
        "tabular.env": ["Tabular"],
        "tabular.theory": ["TabularGame"],
        "tabular.games": ["make_game"],
        "pettingzoo.env": ["PettingZoo"],
        "pettingzoo.export": ["as_pettingzoo"],
    },
)


def make_env(
    name: str,
    *,
    num_envs: int = 1,
    seed: int | None = None,
    device: "torch.device | str" = "cpu",
    **kwargs: Any,
) -> "EnvBase":
    """The environment called `name`, `num_envs` copies of it; `kwargs` are its constructor's own arguments.

    `pettingzoo/package.module` is a PettingZoo parallel environment, see `ilvf.envs.pettingzoo`.
    """
    if name == PETTINGZOO or name.startswith(f"{PETTINGZOO}/"):
        from ilvf.envs.pettingzoo.env import PettingZoo

        task = kwargs.pop("task", None) or name.removeprefix(PETTINGZOO).removeprefix("/")
        require(
            bool(task),
            f"{name} needs a task: {PETTINGZOO}/package.module, such as {PETTINGZOO}/mpe2.simple_spread_v3",
        )
        return PettingZoo(task, num_envs=num_envs, seed=seed, device=device, **kwargs)
    if name in TRAFFIC:
        from ilvf.envs.traffic.simulator.simulation import require_sumo

        require_sumo(f"env={name}")
        from ilvf.envs.traffic.batched import make_traffic

        return make_traffic(name, num_envs=num_envs, seed=seed, device=device, **kwargs)
    known = ", ".join((*SCENARIOS, *TRAFFIC, f"{PETTINGZOO}/TASK"))
    require(name in SCENARIOS, f"env={name!r} is not known; choose one of {known}")
    module, scenario = SCENARIOS[name]
    make = getattr(importlib.import_module(f"{__name__}.{module}"), scenario)
    return make(num_envs=num_envs, seed=seed, device=device, **kwargs)
