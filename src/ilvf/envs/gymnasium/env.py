"""A batch of Gymnasium environments of a team; `ilvf.envs.gymnasium` describes the conventions."""

from collections.abc import Mapping
from typing import Any

import torch

from ilvf.envs.gymnasium.parallel import TeamTask
from ilvf.envs.options import GymnasiumOptions
from ilvf.envs.pettingzoo.env import PettingZoo
from ilvf.options import configure


class Gymnasium(PettingZoo):
    """`num_envs` copies of one Gymnasium environment of a team.

    Args:
        task: a registered name, or `module:NAME`.
        kwargs: arguments of the environment.
        num_envs: B, copies.
        seed: of the first copy; copy k has 100 003 k more. None draws one from torch's global
            generator.
        device: of all tensors.
        **options: `horizon`, `workers`, `timeout`, `entities`; see `GymnasiumOptions`.

    Raises:
        UsageError: as `PettingZoo`; also an environment that is not one of a team.
    """

    def __init__(
        self,
        task: str = GymnasiumOptions.task,
        kwargs: Mapping[str, Any] | None = None,
        *,
        num_envs: int = 1,
        seed: int | None = None,
        device: torch.device | str = "cpu",
        **options: Any,
    ):
        configure(GymnasiumOptions, dict(task=task, **options), "Gymnasium")
        make = TeamTask(task)
        super().__init__(make, kwargs, num_envs=num_envs, seed=seed, device=device, **options)
