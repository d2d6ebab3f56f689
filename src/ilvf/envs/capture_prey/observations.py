"""The observations of Predator Capture Prey: own part, and the parts of the senders."""

import torch
from torch import Tensor

from ilvf.envs.capture_prey.graphs import senders
from ilvf.envs.capture_prey.sight import Sight
from ilvf.envs.capture_prey.windows import Windows
from ilvf.envs.options import CapturePreyOptions
from ilvf.modules.images import Image

CORE = 5  # numbers of a part before the window: the first ones of the state


class Observations:
    """An agent's own part, then the part of each agent that it receives from.

    A part is the first `CORE` numbers of the state and the compact window.

    Args:
        graph: communication graph, bool `[N, N]`, row = receiver.
        compact: windows in the compact encoding.
        reference: windows in the reference's encoding, which replace the own part; or None.

    Attributes:
        mask: bool `[N, Do]`, False where the observation is padding or cannot be seen.
    """

    def __init__(self, graph: Tensor, compact: Sight, reference: Sight | None):
        self._compact = compact
        self._reference = reference
        self._sources = senders(graph)  # [N, M]; index N stands for an absent sender
        if reference is None:
            itself = torch.arange(len(graph), device=graph.device).unsqueeze(1)
            self._sources = torch.cat([itself, self._sources], 1)
        self._own_part_only = reference is None and self._sources.shape[1] == 1
        self.mask = self._make_mask()

    @property
    def image(self) -> Image:
        """The agent's own window: channels after the core, or cells in the reference's encoding."""
        windows = (self._reference or self._compact).windows
        return Image(
            height=windows.side,
            width=windows.side,
            channels=windows.size // windows.side**2,
            begin=0 if self._reference else CORE,
            channels_first=self._reference is None,
        )

    def _make_mask(self) -> Tensor:
        window = self._compact.visible  # [N, size]
        part = torch.cat([window.new_ones(len(window), CORE), window], -1)
        absent = torch.zeros_like(part[:1])
        mask = torch.cat([part, absent])[self._sources].flatten(1)
        if self._reference is None:
            return mask
        return torch.cat([torch.ones_like(self._reference.visible), mask], -1)

    def __call__(self, core: Tensor, position: Tensor, prey: Tensor) -> Tensor:
        """Observations `[B, N, Do]`.

        Args:
            core: first numbers of the states, `[B, N, CORE]`.
            position: of the agents, `[B, N, 2]`.
            prey: `[B, K, 2]`.
        """
        b, n = core.shape[:2]
        parts = core.new_zeros(b, n + 1, CORE + self._compact.windows.size)  # the last is absent
        parts[:, :n, :CORE] = core
        parts[:, : self._compact.rows, CORE:] = self._compact(position, prey, hidden=0.0)
        if self._own_part_only:
            return parts[:, :n]
        observation = parts[:, self._sources.flatten()].view(b, n, -1)
        if self._reference is None:
            return observation
        window = self._reference(position, prey, hidden=-1.0)
        return torch.cat([window, observation], -1)


def make_observations(options: CapturePreyOptions, graph: Tensor) -> Observations:
    """The observations that these options ask for.

    Args:
        options: of the environment.
        graph: communication graph, bool `[N, N]`, row = receiver; its device is used.
    """

    def sight(encoding: str) -> Sight:
        return Sight(
            Windows(options.dim, options.vision, encoding, graph.device),
            options.n_perception,
            options.n_action,
            options.n_prey,
            action_vision=options.action_vision,
            leak=options.leak,
        )

    reference = sight("reference") if options.encoding == "reference" else None
    return Observations(graph, sight("compact"), reference)
