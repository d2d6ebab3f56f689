"""A set of entities in observations: foragers see the berries around them, in random order.

python examples/entity_sets.py [--sets attention|flat] [--iterations 60] [--seed 0]

The same by the command line, with any algorithm:

PYTHONPATH=examples ilvf train ippo env=pettingzoo env.task=entity_sets:Foragers \
    algorithm.sets=attention
"""

import argparse
import functools

import lightning as L
import numpy as np
import torch
from gymnasium import spaces
from pettingzoo import ParallelEnv

from ilvf import ILVFP, CategoricalActor, InfluenceCritic, PettingZoo

MOVES = np.array([[0, 0], [-1, 0], [1, 0], [0, -1], [0, 1]]) * 0.2
SIGHT = 0.8
REACH = 0.2


class Foragers(ParallelEnv):
    """Foragers eat berries on a square of 2 × 2: +1 for a ripe one, −1 for another.

    An eaten berry grows again at a random place. A forager sees its own place, and of each berry
    within sight where it is and whether it is ripe: `berries` [K, 3], with `berries_mask` [K].
    """

    def __init__(self, foragers=3, berries=10, max_steps=25):
        self.metadata = {"name": "foragers"}
        self.possible_agents = [f"forager_{i}" for i in range(foragers)]
        self.berries = berries
        self.max_steps = max_steps
        self.rng = np.random.default_rng()

    def observation_space(self, agent):
        return spaces.Dict(
            {
                "place": spaces.Box(-1, 1, (2,)),
                "berries": spaces.Box(-1, 1, (self.berries, 3)),
                "berries_mask": spaces.MultiBinary(self.berries),
            }
        )

    def action_space(self, agent):
        return spaces.Discrete(len(MOVES))

    def reset(self, seed=None, options=None):
        if seed is not None:
            self.rng = np.random.default_rng(seed)
        self.agents = list(self.possible_agents)
        self.steps = 0
        self.place = self.rng.uniform(-1, 1, (len(self.agents), 2))
        self.berry = self.rng.uniform(-1, 1, (self.berries, 2))
        self.ripe = np.arange(self.berries) % 2 * 2.0 - 1  # 1 or −1
        return self.look(), {agent: {} for agent in self.agents}

    def look(self):
        return {agent: self.seen_from(self.place[i]) for i, agent in enumerate(self.agents)}

    def seen_from(self, place):
        order = self.rng.permutation(self.berries)
        offset = self.berry[order] - place
        seen = np.linalg.norm(offset, axis=-1) < SIGHT
        found = np.concatenate([offset, self.ripe[order, None]], -1)[seen]
        berries = np.zeros((self.berries, 3), np.float32)
        berries[: len(found)] = found
        mask = (np.arange(self.berries) < len(found)).astype(np.int8)
        return {"place": place.astype(np.float32), "berries": berries, "berries_mask": mask}

    def step(self, actions):
        self.steps += 1
        rewards = {}
        for i, agent in enumerate(self.agents):
            self.place[i] = np.clip(self.place[i] + MOVES[actions[agent]], -1, 1)
            eaten = np.linalg.norm(self.berry - self.place[i], axis=-1) < REACH
            rewards[agent] = float(self.ripe[eaten].sum())
            self.berry[eaten] = self.rng.uniform(-1, 1, (eaten.sum(), 2))
        seen = self.look()
        late = dict.fromkeys(self.agents, self.steps >= self.max_steps)
        ended = dict.fromkeys(self.agents, False)
        infos = {agent: {} for agent in self.agents}
        if self.steps >= self.max_steps:
            self.agents = []
        return seen, rewards, ended, late, infos


def main(argv=None):
    """Train and evaluate; return the team return of the evaluation."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", choices=["attention", "flat"], default="attention")
    parser.add_argument("--iterations", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    torch.manual_seed(args.seed)
    make = functools.partial(PettingZoo, Foragers)
    env = make(seed=0)
    parts = env.observation_sets if args.sets == "attention" else None
    actor = CategoricalActor(env.n_agents, env.observation_dim, env.n_actions, parts=parts)
    critic = InfluenceCritic(env.n_agents, env.state_dim, env.n_actions, parts=parts)
    algorithm = ILVFP(make, actor, critic, rollout_steps=25, seed=args.seed)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = L.Trainer(max_epochs=args.iterations, accelerator="cpu", **quiet)
    trainer.fit(algorithm)
    result = algorithm.last_metrics["eval/return/team"]
    print(f"{args.sets}: team return {result:.1f}")
    return result


if __name__ == "__main__":
    main()
