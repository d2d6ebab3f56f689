"""Your own environment: check it, train ILVF-P on it with Lightning, and audit what it has learned.

python examples/own_env.py [--iterations 40] [--seed 0]

Rooms in a row, each with a heater and a wanted temperature. The wind blows one way: warmth goes on into the next room.
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
    """T' = T + 0.2 (T_left − T) + heat,  r_i = −(T'_i − wanted_i)²;  heat 0, 0.5 or 1 degree a step, outside at 0."""

    batch_locked = True

    def __init__(self, rooms=6, *, num_envs=1, horizon=30, seed=None, device="cpu"):
        super().__init__(device=device, batch_size=[num_envs])
        self.horizon, self.rng, n = horizon, torch.Generator(device), rooms
        unbounded = functools.partial(Unbounded, device=device)
        seen = Composite(
            {k: unbounded((num_envs, n, 2)) for k in ("observation", "state")}, shape=(num_envs, n)
        )
        self.observation_spec = Composite(agents=seen, shape=(num_envs,))
        action = Composite(
            action=Categorical(3, (num_envs, n), dtype=torch.int64), shape=(num_envs, n)
        )
        self.action_spec = Composite(agents=action, shape=(num_envs,))
        reward = Composite(reward=unbounded((num_envs, n, 1)), shape=(num_envs, n))
        self.reward_spec = Composite(agents=reward, shape=(num_envs,))
        ends = ("done", "terminated", "truncated")
        flags = {k: Binary(1, (num_envs, 1), dtype=torch.bool, device=device) for k in ends}
        self.done_spec = Composite(flags, shape=(num_envs,))
        self.size, self.restored = (num_envs, n), None
        self.set_seed(0 if seed is None else seed)

    def _set_seed(self, seed):
        self.rng.manual_seed(seed)

    def _reset(self, td=None):
        fresh = {
            k: 4 * torch.rand(self.size, generator=self.rng, device=self.device)
            for k in ("now", "wanted")
        }
        fresh["step"] = torch.zeros(self.size[0], dtype=torch.long, device=self.device)
        mask = None if td is None else td.get("_reset", None)
        if mask is None and self.restored is not None:  # set_state has said where to begin
            fresh, self.restored = self.restored, None
        elif mask is not None:  # only some environments begin again
            fresh = {
                k: torch.where(mask.view(-1, *[1] * (v.ndim - 1)), v, self.world[k])
                for k, v in fresh.items()
            }
        self.world = fresh
        return self._look()

    def _step(self, td):
        now, wanted = self.world["now"], self.world["wanted"]
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

    def get_state(self):  # optional: exact resume, and the audit
        return {**self.world, "rng": self.rng.get_state()}

    def set_state(self, state):
        self.rng.set_state(state["rng"])
        self.restored = {k: v for k, v in state.items() if k != "rng"}


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--iterations", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    torch.manual_seed(args.seed)
    facts = check_env(Rooms(num_envs=2))
    print(facts)
    n = facts.n_agents
    actor = CategoricalActor(n, facts.observation_dim, facts.n_actions)
    critic = InfluenceCritic(n, facts.state_dim, facts.n_actions)
    algorithm = ILVFP(Rooms, actor, critic, rollout_steps=30, seed=args.seed)
    trainer = L.Trainer(
        max_epochs=args.iterations, accelerator="cpu", logger=False, enable_checkpointing=False
    )
    trainer.fit(algorithm)
    result = algorithm.last_metrics["eval/return/team"]
    visited = visited_states(Rooms(num_envs=32, seed=1), actor)
    found = audit(Rooms(num_envs=512), actor, visited)
    print(
        f"evaluation: team return {result:.1f};  whose action really moves whose return:\n{found.significant.int()}"
    )
    return result


if __name__ == "__main__":
    main()
