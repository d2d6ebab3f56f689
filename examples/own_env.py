"""Your own environment: check it, train ILVF-P on it with Lightning, audit the trained team.

python examples/own_env.py [--iterations 40] [--seed 0]

Rooms in a row, each with a heater and a wanted temperature. A wind carries warmth into the next
room.
"""

import argparse
import functools

import lightning as L
import torch
from tensordict import TensorDict
from torchrl.data import Binary, Categorical, Composite, Unbounded
from torchrl.envs import EnvBase

from ilvf import ILVFP, CategoricalActor, InfluenceCritic, check_env
from ilvf.analysis import audit, visited_states


class Rooms(EnvBase):
    """T' = T + 0.2 (T_left − T) + heat,  r_i = −(T'_i − wanted_i)².

    Heat is 0, 0.5 or 1 degree a step. Outside it is 0 degrees.
    """

    batch_locked = True

    def __init__(self, rooms=6, *, num_envs=1, horizon=30, seed=None, device="cpu"):
        super().__init__(device=device, batch_size=[num_envs])
        self.horizon = horizon
        self.rng = torch.Generator(device)
        self.size = (num_envs, rooms)
        self.restored = None
        self._make_specs()
        self.set_seed(0 if seed is None else seed)

    def _make_specs(self):
        batch = self.batch_size
        unbounded = functools.partial(Unbounded, device=self.device)
        pair = {name: unbounded((*self.size, 2)) for name in ("observation", "state")}
        action = Categorical(3, self.size, dtype=torch.int64)
        reward = unbounded((*self.size, 1))
        flags = {
            name: Binary(1, (*batch, 1), dtype=torch.bool, device=self.device)
            for name in ("done", "terminated", "truncated")
        }
        self.observation_spec = Composite(agents=Composite(pair, shape=self.size), shape=batch)
        self.action_spec = Composite(agents=Composite(action=action, shape=self.size), shape=batch)
        self.reward_spec = Composite(agents=Composite(reward=reward, shape=self.size), shape=batch)
        self.done_spec = Composite(flags, shape=batch)

    def _set_seed(self, seed):
        self.rng.manual_seed(seed)

    def _draw(self):
        """A new world: temperatures and wanted temperatures between 0 and 4 degrees."""
        temperature = functools.partial(torch.rand, generator=self.rng, device=self.device)
        now = 4 * temperature(self.size)
        wanted = 4 * temperature(self.size)
        step = torch.zeros(self.size[0], dtype=torch.long, device=self.device)
        return {"now": now, "wanted": wanted, "step": step}

    def _reset(self, td=None):
        mask = None if td is None else td.get("_reset", None)
        if mask is None and self.restored is not None:  # set_state has said where to begin
            self.world, self.restored = self.restored, None  # nothing is drawn
            return self._look()
        fresh = self._draw()
        if mask is not None:  # only some environments begin again
            for name, value in fresh.items():
                where = mask.view(-1, *[1] * (value.ndim - 1))
                fresh[name] = torch.where(where, value, self.world[name])
        self.world = fresh
        return self._look()

    def _step(self, td):
        now = self.world["now"]
        wanted = self.world["wanted"]
        left = torch.nn.functional.pad(now, (1, 0))[:, :-1]
        now = now + 0.2 * (left - now) + 0.5 * td["agents", "action"]
        self.world = {"now": now, "wanted": wanted, "step": self.world["step"] + 1}
        out = self._look()
        out["agents", "reward"] = -(now - wanted).square().unsqueeze(-1)
        return out

    def _look(self):
        state = torch.stack([self.world["now"], self.world["wanted"]], -1)
        late = (self.world["step"] >= self.horizon).unsqueeze(-1)
        agents = TensorDict({"observation": state, "state": state}, self.size)
        ends = {"done": late, "truncated": late.clone(), "terminated": torch.zeros_like(late)}
        return TensorDict({"agents": agents, **ends}, self.batch_size, device=self.device)

    def get_state(self):
        """Optional: for exact resuming and for the audit."""
        return {**self.world, "rng": self.rng.get_state()}

    def set_state(self, state):
        """The next full reset begins in `state`."""
        self.rng.set_state(state["rng"])
        self.restored = {name: value for name, value in state.items() if name != "rng"}


def main(argv=None):
    """Check, train and audit; return the team return of the evaluation."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--iterations", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    torch.manual_seed(args.seed)
    facts = check_env(Rooms(num_envs=2))
    print(facts)
    actor = CategoricalActor(facts.n_agents, facts.observation_dim, facts.n_actions)
    critic = InfluenceCritic(facts.n_agents, facts.state_dim, facts.n_actions)
    algorithm = ILVFP(Rooms, actor, critic, rollout_steps=30, seed=args.seed)
    trainer = L.Trainer(
        max_epochs=args.iterations, accelerator="cpu", logger=False, enable_checkpointing=False
    )
    trainer.fit(algorithm)
    result = algorithm.last_metrics["eval/return/team"]
    visited = visited_states(Rooms(num_envs=32, seed=1), actor)
    found = audit(Rooms(num_envs=512), actor, visited)
    print(f"evaluation: team return {result:.1f}")
    print("measured: whose action (row) moves whose return (column)")
    print(found.significant.int())
    return result


if __name__ == "__main__":
    main()
