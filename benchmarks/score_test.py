"""Is the score test calibrated, and what does it find?

python benchmarks/score_test.py null                 rewards of other environments: false alarms
python benchmarks/score_test.py power                links found after 1, 2, 5, 10 rollouts
python benchmarks/score_test.py null --only encircle-64 grid-4 --out table.csv

`null` trains ILVF-S and tests, beside its own influence, the rewards of the neighbouring
environment, which no action of this one can move. `power` counts the links of known graphs, and of
tabular games the exact influence of actions (Q̄) in the states that were visited.
"""

import csv
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from common import argument_parser
from ilvf.credit import ILVFAdvantage, ScoreInfluence
from ilvf.credit.estimators import gae
from ilvf.credit.sources import AgentSignals
from ilvf.envs import Tabular
from ilvf.experiment.build import build
from ilvf.experiment.config import resolve
from ilvf.experiment.options import training_schema
from training import quiet_trainer, without_evaluation

PLATOON = ("env=cacc", "env.collision_rule=pay_to_horizon", "env.action_repeat=5")
SLOW_DOWN = (*PLATOON, "env.scenario=slow-down", "algorithm.share=true")
GRID = ("env=large_grid", "env.seconds=1800", "algorithm.input_norm=none")
TASKS = {  # name: arguments, environments, steps
    "encircle-64": ((), 64, 50),
    "encircle-8": ((), 8, 50),
    "encircle-4": (("env.horizon=180",), 4, 180),
    "prey-64": (("env=capture_prey",), 64, 80),
    "prey-8": (("env=capture_prey",), 8, 80),
    "slow-down-64": (SLOW_DOWN, 64, 120),
    "slow-down-4": (SLOW_DOWN, 4, 120),
    "grid-4": (GRID, 4, 180),
}
GAMES = ("chain", "star", "pairs", "switch", "matching", "gifts")
MOMENTS = (1, 2, 5, 10)  # rollouts


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("what", choices=("null", "power"))
    parser.add_argument("--only", nargs="*", help="tasks or games; all by default")
    parser.add_argument("--iterations", type=int, default=20, help="of the null")
    parser.add_argument("--seeds", type=int, default=3, help="of the power on games")
    parser.add_argument("--out", type=Path, help="a csv file for the table")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    rows = []
    names = [*TASKS, *(GAMES if args.what == "power" else ())]
    unknown = set(args.only or ()) - set(names)
    if unknown:
        parser.error(f"--only {' '.join(sorted(unknown))}: choose from {', '.join(names)}")
    for name in args.only or names:
        if args.what == "null":
            rows.append(null_row(name, args.iterations))
        elif name in TASKS:
            rows.append(power_row(name))
        else:
            rows.append(game_row(name, args.seeds))
        print(*(f"{key} {value}" for key, value in rows[-1].items()), sep="  ", flush=True)
    if args.out is not None:
        write(args.out, rows)


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    """The rows as a csv file."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


# ---------------------------------------------------------------------- training
def trained(name: str, iterations: int, after: Any) -> Any:
    """ILVF-S on a task; `after(rollout, signals)` sees what its influence observes."""
    arguments, envs, steps = TASKS[name]
    size = (f"algorithm.num_envs={envs}", f"algorithm.rollout_steps={steps}")
    schema = training_schema("ilvf_s")
    module = build(resolve(schema, [*arguments, *size, "algorithm.eval_every=100000"]))
    without_evaluation()
    source = module.influence_source
    observe = source.observe

    def both(rollout: Any, signals: AgentSignals) -> None:
        observe(rollout, signals)
        after(module, rollout, signals)

    source.observe = both
    quiet_trainer(iterations).fit(module)
    return module


# ---------------------------------------------------------------------- false alarms
def null_row(name: str, iterations: int) -> dict[str, Any]:
    """The distribution of z, and pairs that were ever links, where nothing can be found."""
    seen: list[Tensor] = []
    alarms: list[Tensor] = []
    sources: list[ScoreInfluence] = []

    def test(module: Any, rollout: Any, signals: AgentSignals) -> None:
        if not sources:
            sources.append(ScoreInfluence(module.loss.actor))
        source = sources[0]
        before = source.z_sum.clone()
        source.observe(rollout, of_the_neighbours(signals))
        seen.append(source.z_sum - source.options.test_memory * before)
        alarms.append(source.z > source.options.evidence)

    trained(name, iterations, test)
    z = torch.stack(seen)
    ever = torch.stack(alarms).any(0)
    return {
        "task": name,
        "z per rollout, mean": round(float(z.mean()), 3),
        "sd of z": " ".join(f"{float(s):.2f}" for s in z.transpose(0, 1).flatten(1).std(1)),
        "largest z": round(float(z.max()), 1),
        "pairs ever a link": f"{int(ever.sum())} of {ever.numel()}",
    }


def of_the_neighbours(signals: AgentSignals) -> AgentSignals:
    """The signals of the next environment, in place of one's own."""

    def next_env(x: Tensor | None) -> Tensor | None:
        return None if x is None else x.roll(1, 0)

    parts = {key: next_env(getattr(signals, key)) for key in ("reward", "done", "advantage")}
    return AgentSignals(**parts, alive=next_env(signals.alive), time=signals.time)


# ---------------------------------------------------------------------- links found
def power_row(name: str) -> dict[str, Any]:
    """Share of the reward graph's pairs that are links, and links elsewhere, while learning."""
    found: dict[int, tuple[float, float]] = {}

    def count(module: Any, rollout: Any, signals: AgentSignals) -> None:
        iteration = module.current_epoch + 1
        if iteration in MOMENTS and hasattr(module.env, "reward_graph"):
            found[iteration] = shares(module.influence_source.p > 0.5, module.env.reward_graph.T)

    trained(name, max(MOMENTS), count)
    return {"task": name, **as_columns(found)}


def game_row(name: str, seeds: int) -> dict[str, Any]:
    """The same for a tabular game with a fixed random policy, on its exact influence."""
    sums = {moment: torch.zeros(2) for moment in MOMENTS}
    for seed in range(seeds):
        env = Tabular(name, num_envs=64, seed=seed)
        actor = env.game.actor()
        source = ScoreInfluence(actor, env.n_agents)
        advantage = ILVFAdvantage(gae(0.9, 0.9), influence=source)
        exact = env.game.averaged_influence()[0].any(0)
        for rollout in range(1, max(MOMENTS) + 1):
            td = env.rollout(20, actor, break_when_any_done=False)
            for place in (td, td["next"]):
                place["agents", "state_value"] = torch.zeros(*td.shape, env.n_agents, 1)
            advantage(td)
            if rollout in MOMENTS:
                sums[rollout] += torch.tensor(shares(source.p > 0.5, exact)) / seeds
    return {"task": name, **as_columns({k: tuple(v.tolist()) for k, v in sums.items()})}


def shares(links: Tensor, truth: Tensor) -> tuple[float, float]:
    """Share of the true pairs i ≠ j that are links, and of the false ones."""
    other = ~torch.eye(len(truth), dtype=torch.bool)
    truth = truth.bool()
    return tuple(float(links[part].float().mean()) for part in (truth & other, ~truth & other))


def as_columns(found: dict[int, tuple[float, float]]) -> dict[str, str]:
    """`after K` → "share of the true pairs, share of the false ones"."""
    return {f"after {k}": f"{true:.2f}, {false:.3f}" for k, (true, false) in found.items()}


if __name__ == "__main__":
    main()
