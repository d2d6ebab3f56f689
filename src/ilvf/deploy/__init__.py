"""Trained teams outside of this library: exported networks, and traffic signals in your own loop.

    ilvf export checkpoint=runs/RUN to=onnx          # a network for onnxruntime
    ilvf export checkpoint=runs/RUN to=torch         # a program for torch.export.load
    ilvf export checkpoint=runs/RUN to=signals       # a file for SignalController

`SignalController` drives the signals of a SUMO simulation that you started, or turns counts of
vehicles into phases without SUMO.
"""

from typing import TYPE_CHECKING

from ilvf.lazy import lazily, names_of

_PUBLIC = {
    "networks": ["ActingNetwork", "to_onnx", "to_torch"],
    "signals": ["SignalController"],
}

__all__ = names_of(_PUBLIC)

__getattr__ = lazily(__name__, _PUBLIC)


def __dir__() -> list[str]:
    return __all__


if TYPE_CHECKING:
    from ilvf.deploy.networks import ActingNetwork, to_onnx, to_torch
    from ilvf.deploy.signals import SignalController
