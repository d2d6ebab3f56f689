"""The examples at toy size: they run, they learn something, and they stay as short as they promise."""

import importlib.util
import math
import sys

import pytest
import torch
from torchrl.data import ReplayBuffer

import ilvf
from helpers import ROOT

TOY = {  # name → frames per batch, batches, N, most lines that ILVF may add
    "mappo_pettingzoo": (48, 2, 3, 6),
    "mappo_vmas": (240, 2, 4, 6),
    "a2c_fixed_graph": (64, 10, 10, 3),
}
NEEDS = {"mappo_pettingzoo": ("mpe2", "ilvf[mpe]"), "mappo_vmas": ("vmas", "ilvf[vmas]")}


def source(name: str) -> str:
    return (ROOT / "examples" / f"{name}.py").read_text()


def train(name: str, *options: str) -> list[float]:
    """A run of seconds; its curve."""
    batch, batches, _, _ = TOY[name]
    return load(name).main(["--frames", str(batch * batches), "--batch", str(batch), *options])


def load(name: str):
    spec = importlib.util.spec_from_file_location(
        f"example_{name}", ROOT / "examples" / f"{name}.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def watched(monkeypatch):
    """What goes into the buffers, and every optimiser's parameters before and after."""
    seen = {"batches": [], "moved": []}
    extend, adam = ReplayBuffer.extend, torch.optim.Adam

    def watching(self, data):
        seen["batches"].append(data.clone())
        return extend(self, data)

    class Watched(adam):
        def __init__(self, parameters, *args):
            parameters = list(parameters)
            seen["moved"] = [(p, p.detach().clone()) for p in parameters]
            super().__init__(parameters, *args)

    monkeypatch.setattr(ReplayBuffer, "extend", watching)
    monkeypatch.setattr(torch.optim, "Adam", Watched)
    return seen


@pytest.mark.parametrize("plain", [False, True], ids=["ilvf", "plain"])
@pytest.mark.parametrize("name", TOY)
def test_an_example_runs(name, plain, watched, capsys):
    """A finite curve, every parameter moves, and the influence is in the rollout only where it belongs."""
    _, batches, n, _ = TOY[name]
    curve = train(name, *(["--plain"] if plain else []))
    assert len(curve) == batches
    assert all(map(math.isfinite, curve))
    assert "frames" in capsys.readouterr().out
    still = [tuple(p.shape) for p, before in watched["moved"] if torch.equal(p, before)]
    assert not still, f"parameters that did not move: {still}"
    assert all(torch.isfinite(p).all() for p, _ in watched["moved"])
    batch = watched["batches"][-1]
    assert batch["agents", "advantage"].shape == (*batch.shape, n, 1)
    assert (("agents", "influence") in batch.keys(True)) is not plain
    if not plain:
        influence = batch["agents", "influence"]
        assert influence.shape == (*batch.shape, n, n)
        assert influence.diagonal(dim1=-2, dim2=-1).eq(1).all()
        mixed = influence @ batch["agents", "individual_advantage"]
        assert torch.allclose(
            batch["agents", "advantage"], ilvf.losses.standardise(mixed), atol=1e-4
        )


def test_the_fixed_graph_is_read_from_the_acting_agent(watched):
    """Agent 0 sees its neighbours 1 and 9, who are rewarded for its place; 1 is judged, and moves nobody else's."""
    train("a2c_fixed_graph")
    influence = watched["batches"][0]["agents", "influence"][0]
    assert influence[0].nonzero().flatten().tolist() == [0, 1, 9]
    assert influence[1].nonzero().flatten().tolist() == [1]


def test_the_seed_decides():
    first, again, other = (train("a2c_fixed_graph", "--seed", s) for s in ("1", "1", "2"))
    assert first == again
    assert first != other


@pytest.mark.parametrize("name", TOY)
def test_an_example_is_short(name):
    lines = source(name).splitlines()
    added = [line for line in lines if line.endswith("# ILVF")]
    assert len(lines) <= 100
    assert 1 < len(added) <= TOY[name][3]
    names = ("ILVFAdvantage", "ActionValueLoss", "InfluenceCritic")
    unmarked = [line for line in lines if any(n in line for n in names) and line not in added]
    assert not unmarked, "these lines add ILVF and do not say so"


@pytest.mark.parametrize("name", NEEDS)
def test_a_missing_environment_is_one_sentence(name, monkeypatch):
    package, advice = NEEDS[name]
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(SystemExit) as stopped:
        load(name)
    assert advice in stopped.value.code
    assert "\n" not in stopped.value.code


def test_the_page_shows_the_lines_of_the_example():
    """The added lines of the diff in docs/in_your_pipeline.md are those that the script marks."""
    page = (ROOT / "docs" / "in_your_pipeline.md").read_text()
    diff = page.split("```diff")[1].split("```")[0].splitlines()
    shown = [line[1:].strip() for line in diff if line.startswith("+")]
    marked = [
        line.strip() for line in source("mappo_pettingzoo").splitlines() if line.endswith("# ILVF")
    ]
    assert shown == [line.removesuffix("# ILVF").strip() for line in marked]


PRELUDE = """
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule, TensorDictSequential
from torchrl.collectors import Collector
from torchrl.data import LazyTensorStorage, ReplayBuffer, SamplerWithoutReplacement
from torchrl.objectives import ValueEstimators
from torchrl.objectives.multiagent import MAPPOLoss
from torchrl.objectives.value import MultiAgentGAE
from ilvf import *

N = 4
env = Encircle(N, num_envs=8, horizon=10, seed=0)
logits = TensorDictModule(
    CategoricalActor(N, env.observation_dim, env.n_actions).log_probs,
    in_keys=[("agents", "observation")], out_keys=[("agents", "logits")],
)
from torchrl.modules import ProbabilisticActor
actor = ProbabilisticActor(
    logits, in_keys=[("agents", "logits")], out_keys=[("agents", "action")],
    distribution_class=torch.distributions.Categorical, return_log_prob=True,
    log_prob_key=("agents", "action_log_prob"),
)
rollout = env.rollout(20, actor, break_when_any_done=False).detach()
state_dim, n_actions = 3, 2
part = lambda n: {"observation": torch.randn(6, 8, n, 3), "reward": torch.randn(6, 8, n, 1)}
ends = {"done": torch.rand(6, 8, 1) < 0.2, "terminated": torch.zeros(6, 8, 1, dtype=torch.bool)}
teams = lambda: {"cars": part(2), "lights": part(3)}
traffic = TensorDict({**teams(), "next": {**teams(), **ends}}, [6, 8])
"""


def test_the_snippets_of_the_page_run():
    """One after the other, as a reader would; then what they have made is right."""
    page = (ROOT / "docs" / "in_your_pipeline.md").read_text()
    scope: dict = {}
    exec(PRELUDE, scope)
    snippets = [block.split("```")[0] for block in page.split("```python")[1:]]
    assert len(snippets) == 7
    found = []
    for snippet in snippets:
        exec(snippet, scope)
        found.append(scope["rollout"]["agents", "influence"].clone())
    rollout, traffic = scope["rollout"], scope["traffic"]
    assert torch.equal(
        found[2], scope["env"].reward_graph.T.float().expand_as(found[2])
    )  # the fixed graph's
    drawn = scope["flat"]["agents", "influence"]
    assert not torch.equal(
        drawn, rollout["agents", "influence"].reshape(drawn.shape)
    )  # `mix` has drawn again
    assert traffic["cars", "advantage"].shape == (6, 8, 2, 1)
    assert traffic["lights", "advantage"].shape == (6, 8, 3, 1)
    assert traffic["influence"].shape == (6, 8, 5, 5)
    dead = ~scope["flat"]["agents", "mask"]
    assert dead.any()
    assert not scope["flat"]["agents", "advantage"][dead].any()
    assert math.isfinite(scope["loss"](scope["flat"])["loss_objective"].detach())
    for batch in scope["collector"]:
        assert batch["agents", "advantage"].shape == (8, 20, 4, 1)
    scope["collector"].shutdown()
    scope["buffer"].extend(rollout.exclude(("agents", "advantage")))
    assert scope["buffer"].sample()["agents", "advantage"].shape == (4, 20, 4, 1)
