"""`Loss`: what all losses share with TorchRL's, and where they differ."""

from dataclasses import asdict
from typing import Any

from tensordict.utils import NestedKey
from torchrl.objectives.common import LossModule

from ilvf.errors import require


class Loss(LossModule):
    """Base of the losses, TorchRL's `LossModule` without separate parameters."""

    @property
    def functional(self) -> bool:
        """False: the loss uses its modules and has no separate parameters (see TorchRL)."""
        return False

    def set_keys(self, **keys: NestedKey) -> None:
        """Rename what is read.

        Raises:
            UsageError: the loss has no key of this name.
        """
        known: Any = asdict(self.default_keys())
        for name in keys:
            require(
                name in known,
                f"{type(self).__name__} has no key {name}; it has {', '.join(known)}",
            )
        super().set_keys(**keys)
