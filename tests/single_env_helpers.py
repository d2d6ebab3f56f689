"""A TorchRL environment of one copy, and the batches that TorchRL makes of it."""

import torch
from tensordict import TensorDict
from torchrl.data import Binary, Categorical, Composite, Unbounded
from torchrl.envs import EnvBase, SerialEnv

N = 2  # agents
FLAGS = ("done", "terminated", "truncated")


class Single(EnvBase):
    """Agents walk at random; an agent is paid its action times the first number that it sees."""

    n_agents = N
    reward_graph = torch.eye(N, dtype=torch.bool)

    def __init__(self):
        super().__init__(batch_size=[])
        self.rng = torch.Generator()
        seen = {name: Unbounded((N, 3)) for name in ("observation", "state")}
        action = Categorical(2, (N,), dtype=torch.int64)
        self.observation_spec = Composite(agents=Composite(seen, shape=(N,)))
        self.action_spec = Composite(agents=Composite(action=action, shape=(N,)))
        self.reward_spec = Composite(agents=Composite(reward=Unbounded((N, 1)), shape=(N,)))
        self.done_spec = Composite({name: Binary(1, (1,), dtype=torch.bool) for name in FLAGS})

    def _set_seed(self, seed):
        if seed is not None:
            self.rng.manual_seed(seed)

    def _reset(self, td=None, **options):
        self.place = torch.rand(N, 3, generator=self.rng)
        self.time = 0
        return self._seen()

    def _step(self, td):
        self.time += 1
        self.place = self.place + 0.1 * torch.rand(N, 3, generator=self.rng)
        out = self._seen()
        out["agents", "reward"] = td["agents", "action"].unsqueeze(-1) * self.place[:, :1]
        return out

    def _seen(self):
        late = torch.tensor([self.time >= 5])
        seen = {name: self.place.clone() for name in ("observation", "state")}
        ends = {"done": late, "truncated": late.clone(), "terminated": torch.zeros_like(late)}
        return TensorDict({"agents": TensorDict(seen, [N]), **ends}, [])


class Saving(Single):
    """It saves states, which TorchRL's batch of it gives as a list."""

    def get_state(self):
        return {"place": self.place, "rng": self.rng.get_state()}

    def set_state(self, state):
        self.place = state["place"]
        self.rng.set_state(state["rng"])


class Telling(Single):
    """It tells a state, as SMAC does, and cannot be set to one."""

    def get_state(self):
        return self.place.numpy()


def plain(num_envs, seed, device):
    """A batch of environments that save nothing."""
    return SerialEnv(num_envs, Single)


def saving(num_envs, seed, device):
    """A batch of environments that save states."""
    return SerialEnv(num_envs, Saving)


def telling(num_envs, seed, device):
    """A batch of environments that tell a state."""
    return SerialEnv(num_envs, Telling)
