"""What trained traffic signals do, beside baselines in the same episodes.

ilvf traffic checkpoint=runs/RUN                         a run's folder: its best checkpoint
ilvf traffic checkpoint=last traffic.against=fixed_cycle,max_pressure traffic.episodes=4
ilvf traffic checkpoint=PATH env.seconds=3600            longer episodes than those of the training

Draws queue and speed over the episode, maps of the network coloured by queue, and the learned
influence as arrows on the map, into the run's folder below traffic/ and its MLflow run. Keys of
env.* are those of the run that made the checkpoint. env.tripinfo=FOLDER gets a folder for every
policy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ilvf.algorithms.options import check_temperature
from ilvf.commands.checkpointed import TrainedOptions, load, publish, report_folder
from ilvf.commands.influence import learned_in
from ilvf.errors import require
from ilvf.experiment.command_line import command_line
from ilvf.experiment.config import Config
from ilvf.experiment.options import MOST_THREADS
from ilvf.experiment.schema import Schema
from ilvf.options import Options, option
from ilvf.reports.options import MOST

ENVIRONMENTS = ("large_grid", "monaco", "sumo")  # those with roads


@dataclass
class TrafficOptions(Options):
    """Policies and episodes."""

    against: str = option(
        "fixed_cycle",
        "baselines, such as fixed_cycle,max_pressure: rules of the environment, or random",
    )
    episodes: int = option(
        2, "the same for all policies, simulated side by side", least=1, most=MOST
    )
    deterministic: bool | None = option(
        None, "true: the most likely actions, false: sampled ones, null: both, where they differ"
    )
    temperature: float = option(
        1.0, "of sampled actions, π^(1/T); below 1 is more certain, 1 the policy itself", above=0
    )
    arrows: int = option(
        2, "influences on the map, the heaviest: so many times the signals", least=1, most=MOST
    )
    animation: bool = option(True, "draw the queues of the first episode as a GIF: 2 to 5 s")
    threads: int = option(
        1, "threads of torch; 0 leaves the choice to it", least=0, most=MOST_THREADS
    )

    def check(self) -> None:
        super().check()
        check_temperature(self.temperature, self.deterministic)


SCHEMA = Schema("traffic", __doc__, TrainedOptions, {"traffic": TrafficOptions}, "large_grid")


def main(arguments: Sequence[str] | None = None) -> None:
    """Report trained signals as the arguments say."""
    config = command_line(SCHEMA, arguments)
    name = config.env.name
    require(
        config.checkpoint is None or name in ENVIRONMENTS,
        f"{config.checkpoint} is of env={name}, which has no roads; "
        f"need {' or '.join(ENVIRONMENTS)}",
    )
    config.env.workers = 0  # copies in worker processes do not report their queues
    config.env.link_queue = True
    options = config.traffic
    trips, config.env.tripinfo = config.env.tripinfo, None  # `load` plays no episode to record
    trained = load(config, options.threads)
    folder = report_folder(trained, "traffic")
    from ilvf.modules.actors.tempered import tempered
    from ilvf.reports.titles import run_title
    from ilvf.reports.traffic import write_report

    both = options.deterministic is None
    if both:
        options.deterministic = trained.module.config["algorithm"]["eval_deterministic"]
    actor = tempered(trained.module.loss.actor, options.temperature)
    rollouts, env = play_all(actor, config, both=both, trips=trips)
    kept = uninterrupted(rollouts)
    rollouts = {policy: rollout[kept] for policy, rollout in rollouts.items()}
    influence = mean_influence(trained.module, rollouts["learned"])
    title = run_title(trained.module.config, config.env)
    setting = {key: config[key] for key in ("checkpoint", "env", "traffic")} | {"title": title}
    publish(trained, folder, write_report(folder, env, rollouts, influence, setting))


def play_all(
    actor: Any, config: Config, *, both: bool, trips: str | None = None
) -> tuple[dict[str, Any], Any]:
    """({policy: rollout `[B, T]`}, the environment, closed) in the same episodes.

    Args:
        actor: the learned policy.
        config: of the command; `traffic.deterministic` says how the actor acts.
        both: let it act the other way too; left out if it acts the same.
        trips: folder for SUMO's records of the trips, below it one for each policy; None for none.
    """
    from ilvf.data.evaluation import evaluation_seed
    from ilvf.experiment.build import environment_factory
    from ilvf.reports.traffic import OTHER_MODE

    options = config.traffic
    config.env.tripinfo = trips and f"{trips}/learned"  # of the first reset, which is used
    make_env = environment_factory(config)
    env = make_env(num_envs=options.episodes, seed=evaluation_seed(config.seed))
    try:
        likely = options.deterministic
        policies = {"learned": (actor, likely)}
        if both:
            policies[OTHER_MODE[likely]] = (actor, not likely)
        for name, rule in baselines(env, options.against).items():
            policies[name] = (rule, likely)
        rollouts = {}
        for name, (policy, mode) in policies.items():
            env.record_trips(trips and f"{trips}/{name}")
            rollouts[name] = play(env, policy, config.seed, mode)
        if both and same_actions(rollouts["learned"], rollouts[OTHER_MODE[likely]]):
            del rollouts[OTHER_MODE[likely]]
        return rollouts, env
    finally:
        env.close()


def same_actions(first: Any, second: Any) -> bool:
    """Do two rollouts have the same actions?"""
    import torch

    return torch.equal(first["agents", "action"], second["agents", "action"])


def baselines(env: Any, names: str) -> dict[str, Any]:
    """The policies of `traffic.against` by name."""
    from ilvf.modules import RandomActor

    known = {"random": lambda: RandomActor(env.n_actions, masked=env.masked), **env.rules}
    wanted = [name.strip() for name in names.split(",")]
    for name in wanted:
        require(
            name in known,
            f"traffic.against={names}: {name!r} is not known; choose from {', '.join(known)}",
        )
    return {name: known[name]() for name in wanted}


def play(env: Any, policy: Any, seed: int, deterministic: bool) -> Any:
    """One episode of every copy, `[B, T]`.

    Adds `("next", "queues")` `[B, T, M]`, vehicles that halt after the step. There are no resets
    on the way, so queues never belong to a following episode.
    """
    import torch
    from torchrl.envs.utils import ExplorationType, set_exploration_type

    from ilvf.data.evaluation import evaluation_seed
    from ilvf.data.rollout import with_memory

    env = with_memory(env, policy)
    env.set_seed(evaluation_seed(seed))
    torch.manual_seed(seed)
    mode = ExplorationType.DETERMINISTIC if deterministic else ExplorationType.RANDOM
    td = env.reset()
    frames = []
    with torch.no_grad(), set_exploration_type(mode):
        for _ in range(env.horizon):
            frame = env.step(policy(td))
            td = env.step_mdp(frame)
            frame["next", "queues"] = env.queues()
            frames.append(frame)
    return torch.stack(frames, 1)


def uninterrupted(rollouts: dict[str, Any]) -> Any:
    """bool `[B]`: episodes in which no policy's simulator failed; only they can be compared."""
    import torch

    from ilvf.data.evaluation import interrupted

    failed = [interrupted(rollout).any(1).flatten() for rollout in rollouts.values()]
    broken = torch.stack(failed).any(0)
    require(
        not broken.all(),
        "every episode was interrupted by a fault of the simulator; the warnings say which",
    )
    return ~broken


def mean_influence(module: Any, rollout: Any) -> dict[str, Any]:
    """Means of w and Ŵ over a rollout `[N, N]`, row = acting signal; {} if none is learned."""
    found = learned_in(module, rollout)
    if found is None:
        return {}
    weight, influence = (matrix.float().mean((0, 1)) for matrix in found)
    return {"weight": weight, "influence": influence}
