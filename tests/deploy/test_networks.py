"""Exported networks act as the policy does."""

import numpy as np
import pytest
import torch

from ilvf.checkpoints.policy import Policy
from ilvf.deploy import ActingNetwork, to_onnx, to_torch
from ilvf.modules import (
    Box,
    CategoricalActor,
    DeterministicActor,
    GaussianActor,
    GreedyActor,
    MultiCategoricalActor,
    MultiChoices,
)
from ilvf.modules.entity_sets import EntitySet
from ilvf.modules.images import Image

ROWS = 1000
SET = EntitySet(entities=2, features=2, begin=2, mask=0, heads=2, embedding=8)
KINDS = {  # name → actor, its options
    "plain": (CategoricalActor, {}),
    "masked": (CategoricalActor, {"masked": True, "input_norm": "none", "share": True}),
    "greedy": (GreedyActor, {"masked": True}),
    "normal": (GaussianActor, {"distribution": "normal", "scale": "state"}),
    "tanh": (GaussianActor, {"distribution": "tanh_normal"}),
    "deterministic": (DeterministicActor, {}),
    "gru": (CategoricalActor, {"masked": True, "recurrent": "gru"}),
    "lstm": (GaussianActor, {"recurrent": "lstm"}),
    "recurrent greedy": (GreedyActor, {"masked": True, "recurrent": "lstm"}),
    "recurrent deterministic": (DeterministicActor, {"recurrent": "gru"}),
    "several": (MultiCategoricalActor, {"masked": True}),
    "image": (CategoricalActor, {"parts": Image(height=3, width=2, channels=1, begin=1)}),
    "set": (CategoricalActor, {"parts": SET}),
    "recurrent set": (
        GreedyActor,
        {"parts": SET, "masked": True, "recurrent": "gru", "share": True},
    ),
}
# ONNX's programs are made from PyTorch's, which are tested with all kinds
FOR_ONNX = [
    "masked",
    "tanh",
    "lstm",
    "several",
    "recurrent deterministic",
    "image",
    "recurrent set",
]
DIALS = MultiChoices([[1, 1, 1], [5, 1, 1], [2, 4, 3], [5, 4, 3], [5, 4, 3]])
BOX = Box([[-1.0, 0.0]] * 5, [[2.0, 0.5]] * 5)


@pytest.fixture(params=KINDS)
def policy(request):
    kind, options = KINDS[request.param]
    torch.manual_seed(0)
    actions = {MultiCategoricalActor: DIALS, CategoricalActor: 4, GreedyActor: 4}.get(kind, BOX)
    return Policy(kind(5, 7, actions, hidden=16, gain=1.0, **options).eval(), {})


def inputs_of(policy):
    torch.manual_seed(1)
    inputs = {"observation": torch.randn(ROWS, 5, 7)}
    if policy.actor.masked:
        mask = torch.rand(ROWS, 5, policy.actor.actions.width) < 0.5
        begins = [0, 5, 9] if policy.actor.actions is DIALS else [0]
        mask[..., begins] = True
        inputs["action_mask"] = mask
    if policy.actor.memory is not None:
        inputs["state"] = torch.randn(ROWS, *policy.actor.memory.sizes)
    return inputs


def test_a_program_of_torch_export_acts_as_the_policy(policy, tmp_path):
    inputs = inputs_of(policy)
    to_torch(policy, tmp_path / "policy.pt2")
    found = torch.export.load(tmp_path / "policy.pt2").module()(*inputs.values())
    action, state = policy.step(**inputs)
    assert torch.equal(found[0], action)
    assert len(action.unique()) > 3
    assert torch.equal(found[1], ActingNetwork(policy)(*inputs.values())[1])
    assert len(found) == 2 if state is None else torch.allclose(found[2], state, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("policy", FOR_ONNX, indirect=True)
def test_a_network_of_onnx_acts_as_the_policy(policy, tmp_path, capfd):
    session = pytest.importorskip("onnxruntime").InferenceSession
    inputs = inputs_of(policy)
    to_onnx(policy, tmp_path / "policy.onnx")
    assert capfd.readouterr() == ("", "")
    names = {"state": "hidden"}
    arrays = {names.get(name, name): value.numpy() for name, value in inputs.items()}
    action, *found = session(tmp_path / "policy.onnx").run(None, arrays)
    assert np.allclose(action, policy.step(**inputs)[0], atol=1e-5)
    _, *wanted = ActingNetwork(policy)(*inputs.values())
    for one, other in zip(found, wanted, strict=True):
        assert np.allclose(one, other.detach(), rtol=1e-4, atol=1e-5)


def test_without_the_packages_the_command_to_install_them_is_named(tmp_path, monkeypatch, refused):
    policy = Policy(CategoricalActor(2, 3, 2), {})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with refused("to=onnx needs onnx and onnxscript", 'pip install "ilvf[onnx]"'):
        to_onnx(policy, tmp_path / "policy.onnx")


@pytest.mark.parametrize("export", [to_torch, pytest.param(to_onnx, marks=pytest.mark.slow)])
def test_a_file_that_cannot_be_written_is_refused(export, tmp_path, refused):
    policy = Policy(CategoricalActor(2, 3, 2), {})
    with refused("cannot be written", "nowhere"):
        export(policy, tmp_path / "nowhere" / "policy")
