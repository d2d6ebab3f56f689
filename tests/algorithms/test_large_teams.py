"""Large teams with neighbours: no tensor has a number for every pair of agents in every state."""

import sys
import types

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from helpers import bare_trainer
from ilvf.credit import LearnedInfluence
from ilvf.errors import UsageError
from ilvf.experiment.build import build
from ilvf.experiment.config import resolve
from ilvf.experiment.options import training_schema
from ilvf.modules.critics import attended_first

ENVS = 4
STEPS = 6
SMALL = (
    f"algorithm.num_envs={ENVS}",
    f"algorithm.rollout_steps={STEPS}",
    "algorithm.epochs=1",
    "algorithm.minibatches=1",
    "algorithm.eval_episodes=1",
    "algorithm.eval_steps=2",
    "algorithm.hidden=8",
    "algorithm.share=true",
)
CASES = [
    ("ilvf_s",),
    ("ilvf_s", "algorithm.critic=influence"),
    ("ilvf_p",),
    ("ilvf_p", "algorithm.influence=score"),
    ("ilvf_p", "algorithm.influence=reward_graph"),
    ("mappo",),
    ("mappo", "algorithm.critic=influence"),
    ("ippo", "algorithm.critic=state"),
    ("ippo", "algorithm.critic=influence"),
]
BY_ATTENTION = ("algorithm.neighbours=4", "algorithm.neighbours_by=attention")


class Largest(TorchDispatchMode):
    """The most numbers that a tensor has for which there is memory."""

    def __init__(self):
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        for x in tree_leaves(found):
            if isinstance(x, torch.Tensor):
                size = x.untyped_storage().nbytes() // x.element_size()
                self.numel = max(self.numel, size)
        return found


def iterations(n, recipe, *arguments, count=1):
    """A module after some iterations of n agents, and its largest tensor."""
    config = resolve(training_schema(recipe), [f"env.n_agents={n}", *SMALL, *arguments])
    torch.manual_seed(0)
    module = build(config)
    with Largest() as largest:
        bare_trainer(count).fit(module)
    return module, largest.numel


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_the_largest_tensor_grows_with_the_team_and_not_with_its_pairs(case):
    """200 agents: less than a fifth of the numbers of all pairs in all states."""
    n = 200
    module, largest = iterations(n, *case, "algorithm.neighbours=4")
    assert largest < n * n * ENVS * STEPS / 5
    assert module.frames == ENVS * STEPS
    assert all(p.isfinite().all() for p in module.parameters())


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["ilvf_s", "mappo"])
def test_the_largest_tensor_of_chosen_neighbours_doubles_with_the_team(recipe, monkeypatch):
    """It has a key for each chosen agent; all scores exist in a few states at a time."""
    monkeypatch.setattr(attended_first, "CHUNK", 1)  # one state
    largest = [iterations(n, recipe, *BY_ATTENTION)[1] for n in (100, 200)]
    assert largest[1] < 2.1 * largest[0]


@pytest.mark.slow
def test_all_pairs_are_seen_by_the_count():
    """The count finds what neighbours avoid."""
    n = 60
    _, largest = iterations(n, "ilvf_p", "algorithm.shared_first=true")
    assert largest >= n * n * ENVS * STEPS


@pytest.mark.slow
@pytest.mark.parametrize("case", [("ilvf_s",), ("ilvf_p",)], ids=" ".join)
def test_metrics_and_pictures_have_matrices_of_all_agents(case):
    n = 8
    module, _ = iterations(n, *case, "algorithm.neighbours=2", count=2)
    metrics = module.last_metrics
    assert 0 <= metrics["influence/density"] <= 1
    assert not any(name.startswith("attention/auroc") for name in metrics)
    if case == ("ilvf_p",):
        assert metrics["attention/mean"] == pytest.approx(0.5, abs=0.2)  # of three weights each
    for title, matrix in module.matrices().items():
        assert matrix.shape == (n, n), title


def test_an_own_influence_that_reads_all_weights_is_one_sentence(refused, monkeypatch):
    """A critic with neighbours has the weights of these alone."""
    module = types.ModuleType("own_influence")
    module.learned = lambda env, actor: LearnedInfluence()
    monkeypatch.setitem(sys.modules, "own_influence", module)
    arguments = ("algorithm.neighbours=2", "algorithm.influence=own_influence:learned")
    with refused("algorithm.neighbours=2", "LearnedInfluence(neighbours="):
        build(resolve(training_schema("ilvf_p"), ["env.n_agents=6", *SMALL, *arguments]))


@pytest.mark.parametrize(
    ("recipe", "arguments", "sentence"),
    [
        ("ilvf_s", ["neighbours=2", "shared_first=true"], "leave out one of them"),
        ("ilvf_p", ["neighbours=2", "sparsity=1.0"], "attention to all agents"),
        ("ilvf_p", ["neighbours=2", "supervision=1.0"], "attention to all agents"),
        ("mappo", ["neighbours=2", "critic=central"], "for values per agent"),
        ("mappo", ["shared_first=true", "critic=central"], "for values per agent"),
        ("ippo", ["neighbours=2"], "for critic=state or influence"),
        ("ilvf_s", ["neighbours=0"], "at least 1"),
        ("ilvf_s", ["neighbours=x"], "whole number"),
        ("ilvf_s", ["neighbours_by=attention"], "give neighbours=K"),
        ("mappo", ["neighbours_by=attention"], "give neighbours=K"),
        ("ilvf_s", ["neighbours=2", "neighbours_by=attention", "critic=influence"], "side by side"),
        ("mappo", ["neighbours=2", "neighbours_by=attention", "critic=influence"], "side by side"),
        ("mappo", ["neighbours=2", "neighbours_by=nearest"], "graph, attention"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(recipe, arguments, sentence):
    given = [f"algorithm.{argument}" for argument in arguments]
    with pytest.raises(UsageError, match=sentence):
        resolve(training_schema(recipe), given)
