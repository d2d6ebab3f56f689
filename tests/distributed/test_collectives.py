"""What is sent between processes: contiguous tensors, and nothing that lives on another's GPU."""

from collections import Counter

import pytest
import torch
import torch.distributed as dist
from lightning.pytorch.strategies import DDPStrategy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import ilvf.distributed
from helpers import bare_trainer
from ilvf.algorithms.options import ALGORITHMS
from ilvf.checkpoints.state import on_cpu, save_run_state
from ilvf.distributed import mean_over_ranks
from ilvf.envs import Encircle
from ilvf.experiment.build import build
from ilvf.experiment.config import resolve
from ilvf.experiment.options import training_schema

SMALL = (
    "env.n_agents=4",
    "env.horizon=10",
    "algorithm.num_envs=4",
    "algorithm.rollout_steps=10",
    "algorithm.hidden=8",
    "algorithm.eval_every=1",
    "algorithm.eval_episodes=2",
)
ON_POLICY = ("algorithm.epochs=2", "algorithm.minibatches=2")
OFF_POLICY = ("algorithm.updates=4", "algorithm.batch_size=16", "algorithm.warmup=0")


class Collectives(TorchDispatchMode):
    """Refuses tensors that NCCL refuses, and counts the collective operations."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.namespace == "c10d":
            name = func.overloadpacket.__name__
            self.counts[name] += 1
            for x in tree_leaves((args, kwargs)):
                if isinstance(x, torch.Tensor):
                    assert x.is_contiguous(), f"{name} of strides {x.stride()}, shape {x.shape}"
        return func(*args, **(kwargs or {}))


@pytest.fixture
def group(monkeypatch, tmp_path):
    """A process group of this process alone, in which all reductions are made nevertheless."""
    store = f"file://{tmp_path / 'group'}"
    dist.init_process_group("gloo", init_method=store, rank=0, world_size=1)
    monkeypatch.setattr(ilvf.distributed, "several", dist.is_initialized)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("group")
def test_the_check_refuses_a_transposed_tensor():
    with Collectives(), pytest.raises(AssertionError, match="strides"):
        dist.all_reduce(torch.rand(3, 2).T)


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_collective_of_a_training_gets_contiguous_tensors(name):
    kind = OFF_POLICY if "updates" in ALGORITHMS[name].__dataclass_fields__ else ON_POLICY
    module = build(resolve(training_schema(name), [*SMALL, *kind]))
    ddp = DDPStrategy(broadcast_buffers=False)
    with Collectives() as collectives:
        bare_trainer(2, strategy=ddp, devices=1).fit(module)
    steps = 2 * 4
    assert collectives.counts["allreduce_"] >= steps + 2 * 2  # gradients, and twice the metrics


@pytest.mark.usefixtures("group")
def test_any_strides_can_be_averaged():
    x = torch.rand(3, 4, 5)
    for view in (x.transpose(0, 2), x[:, ::2], x[..., 1], x[0, 0].expand(4, 5), torch.rand(())):
        with Collectives():
            assert torch.equal(mean_over_ranks(view), view)


# ---------------------------------------------------------------------- objects
class OnAGpu(torch.Tensor):
    """Stands for a tensor on a GPU: a copy on the CPU is a plain tensor."""

    def cpu(self):
        return self.as_subclass(torch.Tensor).clone()


def test_states_of_environments_come_to_the_cpu_before_they_are_sent(monkeypatch):
    world = {"position": torch.rand(2, 3).as_subclass(OnAGpu)}
    monkeypatch.setattr(Encircle, "get_state", lambda self: world)
    sent = []

    def all_gather_object(received, mine):
        sent.append(mine)
        received[:] = [mine, mine]

    monkeypatch.setattr("ilvf.checkpoints.state.several", lambda: True)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    monkeypatch.setattr(dist, "all_gather_object", all_gather_object)
    more = {"replay": {"weights": [world["position"]], "names": ("a", 1)}}
    saved = save_run_state(Encircle(4), 40, "", **more)
    kinds = {type(x) for x in tree_leaves(sent[0])}
    assert OnAGpu not in kinds
    assert torch.Tensor in kinds
    assert torch.equal(saved["ranks"][1]["env"]["position"], world["position"].cpu())
    assert saved["ranks"][0]["replay"]["names"] == ("a", 1)


def test_on_cpu_keeps_everything_but_the_place():
    state = {"a": [torch.ones(2), (3, "x")], "b": {"c": None}}
    moved = on_cpu(state)
    assert torch.equal(moved["a"][0], torch.ones(2))
    assert moved["a"][1] == (3, "x")
    assert moved["b"] == {"c": None}
