"""The example scripts at toy size: they run, they learn, and they stay short."""

import contextlib
import functools
import importlib.util
import io
import math
import sys
from dataclasses import dataclass

import pytest
import torch
from torchrl.data import ReplayBuffer

import ilvf
from helpers import ROOT

MOST_LINES = 120
ADDED = "# ILVF"  # ends each line that ILVF adds to a pipeline


@dataclass(frozen=True)
class Toy:
    """A run of seconds.

    Attributes:
        batch: frames per batch.
        batches: number of batches.
        agents: number of agents.
        most_added: most lines that ILVF may add.
    """

    batch: int
    batches: int
    agents: int
    most_added: int


TOYS = {
    "mappo_pettingzoo": Toy(batch=48, batches=2, agents=3, most_added=6),
    "mappo_vmas": Toy(batch=240, batches=2, agents=4, most_added=6),
    "a2c_fixed_graph": Toy(batch=64, batches=10, agents=10, most_added=3),
}
EXTRAS = {
    "mappo_pettingzoo": ("mpe2", "ilvf[mpe]"),
    "mappo_vmas": ("vmas", "ilvf[vmas]"),
    "two_groups": ("vmas", "ilvf[vmas]"),
}


def source(name: str) -> str:
    """The text of an example."""
    return (ROOT / "examples" / f"{name}.py").read_text()


def load(name: str):
    """An example as a module."""
    path = ROOT / "examples" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"example_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def train(name: str, *options: str) -> list[float]:
    """The learning curve of a run at toy size."""
    toy = TOYS[name]
    frames = toy.batch * toy.batches
    return load(name).main(["--frames", str(frames), "--batch", str(toy.batch), *options])


def added_lines(name: str) -> list[str]:
    """The lines that ILVF adds to an example."""
    return [line for line in source(name).splitlines() if line.endswith(ADDED)]


class Recorder:
    """What goes into the buffers, and the parameters of the optimiser before training."""

    def __init__(self):
        self.batches = []
        self.parameters = []
        self.before = []

    def unchanged(self) -> list[tuple[int, ...]]:
        """Shapes of the parameters that training has not changed."""
        pairs = zip(self.parameters, self.before, strict=True)
        return [tuple(now.shape) for now, before in pairs if torch.equal(now, before)]


def recording(patch: pytest.MonkeyPatch) -> Recorder:
    """A `Recorder` of what runs while `patch` lasts."""
    recorder = Recorder()
    extend = ReplayBuffer.extend
    adam = torch.optim.Adam

    def recorded_extend(self, data):
        recorder.batches.append(data.clone())
        return extend(self, data)

    class RecordedAdam(adam):
        def __init__(self, parameters, *args):
            recorder.parameters = list(parameters)
            recorder.before = [p.detach().clone() for p in recorder.parameters]
            super().__init__(recorder.parameters, *args)

    patch.setattr(ReplayBuffer, "extend", recorded_extend)
    patch.setattr(torch.optim, "Adam", RecordedAdam)
    return recorder


@functools.cache
def recorded(name: str, *options: str) -> tuple[list[float], str, Recorder]:
    """(learning curve, what it prints, `Recorder`) of a run, at which several tests look."""
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        recorder = recording(patch)
        curve = train(name, *options)
    return curve, printed.getvalue(), recorder


@pytest.mark.slow
@pytest.mark.parametrize("plain", [False, True], ids=["ilvf", "plain"])
@pytest.mark.parametrize("name", TOYS)
def test_an_example_trains_all_parameters(name, plain):
    toy = TOYS[name]
    curve, printed, recorder = recorded(name, *(["--plain"] if plain else []))
    assert len(curve) == toy.batches
    assert all(map(math.isfinite, curve))
    assert "frames" in printed
    assert recorder.unchanged() == []
    assert all(torch.isfinite(p).all() for p in recorder.parameters)
    batch = recorder.batches[-1]
    assert batch["agents", "advantage"].shape == (*batch.shape, toy.agents, 1)
    assert (("agents", "influence") in batch.keys(True)) is not plain


@pytest.mark.parametrize("name", TOYS)
def test_the_advantages_of_an_example_are_mixed_by_its_influence(name):
    _, _, recorder = recorded(name)
    batch = recorder.batches[-1]
    agents = TOYS[name].agents
    influence = batch["agents", "influence"]
    assert influence.shape == (*batch.shape, agents, agents)
    assert influence.diagonal(dim1=-2, dim2=-1).eq(1).all()
    mixed = influence @ batch["agents", "individual_advantage"]
    expected = ilvf.credit.standardise(mixed)
    assert torch.allclose(batch["agents", "advantage"], expected, atol=1e-4)


def test_rows_of_the_fixed_graph_are_acting_agents():
    """Agent 0 enters the rewards of its neighbours 1 and 9; agent 1 enters its own only."""
    _, _, recorder = recorded("a2c_fixed_graph")
    influence = recorder.batches[0]["agents", "influence"][0]
    assert influence[0].nonzero().flatten().tolist() == [0, 1, 9]
    assert influence[1].nonzero().flatten().tolist() == [1]


def test_the_seed_decides_the_learning_curve():
    first = train("a2c_fixed_graph", "--seed", "1")
    again = train("a2c_fixed_graph", "--seed", "1")
    other = train("a2c_fixed_graph", "--seed", "2")
    assert first == again
    assert first != other


@pytest.mark.slow
def test_two_groups_train_their_policies_and_the_critic_of_both(monkeypatch):
    """The optimiser has every parameter once, and changes all of them."""
    recorder = recording(monkeypatch)
    curve = load("two_groups").main(["--frames", "240", "--batch", "120"])
    assert len(curve) == 2
    assert all(map(math.isfinite, curve))
    assert recorder.unchanged() == []
    assert len({id(p) for p in recorder.parameters}) == len(recorder.parameters)
    critic = sum(p.shape[0] == 5 for p in recorder.parameters)
    assert 0 < critic < len(recorder.parameters)
    batch = recorder.batches[-1]
    assert batch["influence"].shape == (120, 5, 5)
    groups = ("couriers", "scouts")
    individual = torch.cat([batch[name, "individual_advantage"] for name in groups], -2)
    found = torch.cat([batch[name, "advantage"] for name in groups], -2)
    expected = ilvf.credit.standardise(batch["influence"] @ individual)
    assert torch.allclose(found, expected, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("sets", ["attention", "flat"])
def test_foragers_train_with_and_without_an_attention(sets, capsys):
    result = load("entity_sets").main(["--sets", sets, "--iterations", "1"])
    assert math.isfinite(result)
    assert f"{sets}: team return {result:.1f}" in capsys.readouterr().out


@pytest.mark.parametrize("name", [*TOYS, "two_groups", "entity_sets"])
def test_an_example_is_short(name):
    assert len(source(name).splitlines()) <= MOST_LINES


@pytest.mark.parametrize("name", TOYS)
def test_ilvf_adds_few_lines(name):
    assert 1 < len(added_lines(name)) <= TOYS[name].most_added


@pytest.mark.parametrize("name", [*TOYS, "two_groups"])
def test_every_line_that_adds_ilvf_is_marked(name):
    code = source(name).rpartition('"""\n\nimport')[2]
    names = ("ILVFAdvantage", "ActionValueLoss", "InfluenceCritic")
    lines = [line for line in code.splitlines() if any(n in line for n in names)]
    assert lines
    assert [line for line in lines if not line.endswith(ADDED)] == []


@pytest.mark.parametrize("name", EXTRAS)
def test_a_missing_package_ends_in_one_sentence(name, monkeypatch):
    package, advice = EXTRAS[name]
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(SystemExit) as stopped:
        load(name)
    assert advice in stopped.value.code
    assert "\n" not in stopped.value.code


def test_the_example_of_an_own_environment_resumes_exactly():
    """A reset after `set_state` draws nothing."""
    env = load("own_env").Rooms(num_envs=2)
    env.reset()
    state = env.get_state()
    env.reset()
    env.set_state(state)
    env.reset()
    assert torch.equal(env.get_state()["rng"], state["rng"])
    assert torch.equal(env.world["now"], state["now"])
