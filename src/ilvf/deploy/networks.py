"""A team's networks as one program without this library: `torch.export` and ONNX.

    observation [B, N, Do] (and action_mask [B, N, A])  →  action [B, N], outputs [B, N, A]

The normalisation of inputs and the masks are inside. B is free. `outputs` are what the networks
put out: for discrete actions log-probabilities up to a constant, or action values, with the lowest
finite number for impossible actions; of `MultiChoices` those of all components side by side; for
continuous ones the mean in units of half the range (`GaussianActor` with `distribution=normal`;
then its raw scale, if that depends on the state), or the number before tanh (`tanh_normal`,
`DeterministicActor`). `action` is what a deterministic policy does: `[B, N]`, `[B, N, D]` of
`MultiChoices`, or `[B, N, A]` in the units of the environment.

A recurrent team also takes `hidden` [B, N, S], zeros where an episode begins, and returns
`next_hidden`, which the next step takes.
"""

import contextlib
import importlib.util
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ilvf.checkpoints.policy import Policy
from ilvf.errors import UsageError, require
from ilvf.modules.actors.network import mask_outputs

OPSET = 18  # of ONNX
EXAMPLE = 2  # rows of the example: one row would fix the batch size


class ActingNetwork(nn.Module):
    """The networks of a policy, from tensors to tensors.

    Args:
        policy: of `load_policy`.
    """

    def __init__(self, policy: Policy):
        super().__init__()
        self.actor = policy.actor
        self.inputs = ["observation"]
        self.outputs = ["action", "outputs"]
        if self.actor.masked:
            self.inputs.append("action_mask")
        if self.actor.memory is not None:
            self.inputs.append("hidden")
            self.outputs.append("next_hidden")

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Deterministic actions, the networks' outputs, and the hidden states after the step."""
        given = dict(zip(self.inputs, inputs, strict=True))
        raw, after = self.actor.recall(given["observation"], given.get("hidden"))
        outputs = mask_outputs(raw, given.get("action_mask"))
        found = (self.actor.best(outputs), outputs)
        return found if after is None else (*found, after)

    def example(self) -> tuple[Tensor, ...]:
        """Inputs of the right shapes, with two rows."""
        arguments = self.actor.arguments
        n_agents = arguments["n_agents"]
        place = next(self.actor.parameters()).device
        inputs = [torch.zeros(EXAMPLE, n_agents, arguments["observation_dim"], device=place)]
        if self.actor.masked:
            width = self.actor.actions.width
            inputs.append(torch.ones(EXAMPLE, n_agents, width, dtype=torch.bool, device=place))
        if self.actor.memory is not None:
            inputs.append(self.actor.memory.start(EXAMPLE))
        return tuple(inputs)

    def free_batch(self) -> tuple[tuple[dict[int, Any], ...]]:
        """For every input: its first dimension is free."""
        batch = torch.export.Dim("batch")
        return (tuple({0: batch} for _ in self.inputs),)  # of the one argument *inputs


def to_torch(policy: Policy, path: Path) -> None:
    """Write a program that `torch.export.load(path).module()` runs.

    Raises:
        UsageError: the file cannot be written.
    """
    network = ActingNetwork(policy).eval()
    program = torch.export.export(
        network, network.example(), dynamic_shapes=network.free_batch(), strict=False
    )
    try:
        torch.export.save(program, path)
    except (OSError, RuntimeError) as error:  # torch reports a missing folder as RuntimeError
        raise UsageError(f"{path} cannot be written ({error})") from error


def to_onnx(policy: Policy, path: Path) -> None:
    """Write a file of ONNX with named inputs and outputs.

    Raises:
        UsageError: the packages for ONNX are missing, or the file cannot be written.
    """
    missing = [name for name in ("onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    require(
        not missing,
        f'to=onnx needs {" and ".join(missing)}: pip install "ilvf[onnx]"',
    )
    network = ActingNetwork(policy).eval()
    inputs = network.example()
    with quiet():
        program = torch.onnx.export(
            network,
            inputs,
            dynamo=True,
            opset_version=OPSET,
            input_names=network.inputs,
            output_names=network.outputs,
            dynamic_shapes=network.free_batch(),
            verbose=False,
        )
    assert program is not None
    try:
        program.save(str(path))
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror})") from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Leave out what the exporter says about packages and names that do not matter here."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logger.setLevel(before)
