"""Where a run's rollouts are collected, if not in its own process."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from tensordict.nn import TensorDictModuleBase

from ilvf.collectors.part import Plan, State, packed
from ilvf.collectors.process import ProcessWorker
from ilvf.collectors.ray_actor import RayWorker, connect, disconnect
from ilvf.collectors.team import WorkerRollouts, split
from ilvf.errors import require, require_choice


@dataclass(frozen=True)
class Elsewhere:
    """Workers that collect the rollouts of a process.

    Attributes:
        collector: `processes` of this machine, or actors of a `ray` cluster.
        workers: how many.

    Raises:
        UsageError: another word, or no worker.
    """

    collector: Literal["processes", "ray"]
    workers: int

    def __post_init__(self) -> None:
        require_choice("collector", self.collector, ("processes", "ray"))
        require(self.workers >= 1, f"workers={self.workers} must be at least 1")

    def rollouts(
        self,
        plan: Plan,
        policy: TensorDictModuleBase,
        device: torch.device,
        saved: Sequence[State] | None = None,
    ) -> WorkerRollouts:
        """Start the workers.

        Args:
            plan: of all environments, with the process's seed; its policy is set here.
            policy: that collects.
            device: of the rollouts.
            saved: states of the workers of a checkpoint.

        Raises:
            UsageError: there are fewer environments than workers, or Ray cannot be used.
        """
        require_environments(self.workers, plan.num_envs)
        plans = split(replace(plan, policy=packed(policy)), self.workers, saved)
        if self.collector == "processes":
            return WorkerRollouts(ProcessWorker, plans, policy, device)
        leave = disconnect if connect(self.workers) else None
        return WorkerRollouts(RayWorker, plans, policy, device, leave)


def require_environments(workers: int, num_envs: int) -> None:
    """Raise unless every worker has an environment."""
    require(
        workers <= num_envs,
        f"{workers} collector workers need as many environments, and a process has "
        f"num_envs={num_envs}; give fewer workers or more environments",
    )
