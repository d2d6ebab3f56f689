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
        return RayRollouts(RayWorker, plans, policy, device)


class RayRollouts(WorkerRollouts):
    """`WorkerRollouts` of Ray actors; connects to Ray and leaves it, if the program has not."""

    def __init__(self, start, plans, policy, device):  # type: ignore[no-untyped-def]
        self.has_connected = connect(len(plans))
        super().__init__(start, plans, policy, device)

    def shutdown(self) -> None:
        """End all workers, and leave Ray."""
        super().shutdown()
        if self.has_connected:
            disconnect()
            self.has_connected = False


def require_environments(workers: int, num_envs: int) -> None:
    """Raise unless every worker has an environment."""
    require(
        workers <= num_envs,
        f"{workers} collector workers need as many environments, and a process has "
        f"num_envs={num_envs}; give fewer workers or more environments",
    )
