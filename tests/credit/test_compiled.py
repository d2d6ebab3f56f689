"""`ILVFAdvantage` compiled by `torch.compile`, without graph breaks."""

import shutil

import pytest
import torch

from credit_helpers import D, N, acted_rollout, gae, influence_values, valued_rollout
from ilvf.credit import ILVFAdvantage, Soft
from ilvf.modules import StateCritic


@pytest.fixture(autouse=True)
def _fresh():
    torch.manual_seed(0)
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def plain_values():
    return StateCritic(N, D, hidden=8).value_module(state_key="observation")


CASES = {  # name → estimator, rollout
    "shifted": (lambda: ILVFAdvantage(gae(), influence_values(), shifted=True), acted_rollout),
    "graph": (lambda: ILVFAdvantage(gae(), plain_values(), torch.eye(N)), acted_rollout),
}


def consecutive(td):
    """The rollout with next states that are those of the next steps, where no episode ends."""
    goes_on = ~td["next", "done"].unsqueeze(-1)
    following = td["agents", "observation"].roll(-1, 1)
    goes_on[:, -1] = False
    td["next", "agents", "observation"] = torch.where(
        goes_on, following, td["next", "agents", "observation"]
    )
    return td


def advantage(estimator, td):
    return estimator(td.clone())["agents", "advantage"]


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_it_is_traced_without_graph_breaks(case):
    make, make_td = CASES[case]
    estimator = make()
    td = consecutive(make_td())
    expected = advantage(estimator, td)
    compiled = torch.compile(estimator, fullgraph=True, backend="eager")
    assert torch.allclose(advantage(compiled, td), expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler")
def test_it_is_compiled_to_machine_code():
    estimator = ILVFAdvantage(gae(), discretise=Soft())
    td = valued_rollout()
    expected = advantage(estimator, td)
    compiled = torch.compile(estimator, fullgraph=True)
    assert torch.allclose(advantage(compiled, td), expected, atol=1e-5)


def test_weights_are_checked_outside_of_compiled_code(refused):
    td = valued_rollout()
    td["agents", "influence_weight"] *= 3
    with refused("[0, 1]"):
        ILVFAdvantage(gae())(td)
