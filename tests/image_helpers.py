"""A task whose optimum is in a picture: an agent says where the light is."""

import torch
from tensordict import TensorDict
from torchrl.data import Binary, Categorical, Composite, Unbounded
from torchrl.envs import EnvBase

SIDE = 6
LIGHTS = 4  # one in each quarter of the picture


class Lights(EnvBase):
    """Two agents see a picture `[6, 6, 1]` of uint8 with one light, and their own last choice.

    The reward of an agent is 1 if its action is the quarter where the light is, else 0. A row of
    the light changes its place within the quarter, so that no single number says where it is.

    Args:
        nested: the observation has two parts, `picture` and `choice`; otherwise the picture alone.
    """

    def __init__(self, num_envs=1, seed=0, device="cpu", nested=True, horizon=4):
        super().__init__(device=device, batch_size=[num_envs])
        self.horizon = horizon
        self.nested = nested
        team = (num_envs, 2)
        picture = Unbounded((*team, SIDE, SIDE, 1), dtype=torch.uint8)
        choice = Unbounded((*team, 1))
        parts = Composite(picture=picture, choice=choice, shape=team)
        observation = parts if nested else picture
        agents = Composite(observation=observation, shape=team)
        self.observation_spec = Composite(agents=agents, shape=(num_envs,))
        action = Composite(action=Categorical(LIGHTS, team, dtype=torch.int64), shape=team)
        self.action_spec = Composite(agents=action, shape=(num_envs,))
        reward = Composite(reward=Unbounded((*team, 1)), shape=team)
        self.reward_spec = Composite(agents=reward, shape=(num_envs,))
        flag = Binary(1, (num_envs, 1), dtype=torch.bool)
        names = ("done", "terminated", "truncated")
        flags = {name: flag.clone() for name in names}
        self.done_spec = Composite(**flags, shape=(num_envs,))
        self.set_seed(seed)

    def _set_seed(self, seed):
        self.rng = torch.Generator().manual_seed(0 if seed is None else seed)

    def _see(self, choice):
        b = self.batch_size[0]
        self.light = torch.randint(LIGHTS, (b, 2), generator=self.rng)
        within = torch.randint(SIDE // 2, (b, 2, 2), generator=self.rng)
        corner = torch.stack([self.light // 2, self.light % 2], -1) * (SIDE // 2)
        row, column = (corner + within).unbind(-1)
        picture = torch.zeros(b, 2, SIDE * SIDE, dtype=torch.uint8)
        picture.scatter_(-1, (row * SIDE + column).unsqueeze(-1), 255)
        picture = picture.view(b, 2, SIDE, SIDE, 1)
        parts = TensorDict({"picture": picture, "choice": choice}, [b, 2])
        return TensorDict({"agents": {"observation": parts if self.nested else picture}}, [b])

    def _flags(self, late):
        b = self.batch_size[0]
        ended = torch.full((b, 1), late)
        flags = {"done": ended, "terminated": torch.zeros_like(ended), "truncated": ended.clone()}
        return TensorDict(flags, [b])

    def _reset(self, tensordict=None):
        self.steps = 0
        seen = self._see(torch.zeros(self.batch_size[0], 2, 1))
        return seen.update(self._flags(False))

    def _step(self, tensordict):
        action = tensordict["agents", "action"]
        reward = (action == self.light).float().unsqueeze(-1)
        self.steps += 1
        out = self._see(action.float().unsqueeze(-1))
        out["agents", "reward"] = reward
        return out.update(self._flags(self.steps % self.horizon == 0))
