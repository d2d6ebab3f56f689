"""A device that is not the CPU, on a machine that has no other: for `test_another_device.py`.

Tensors of the device are wrappers of tensors of the CPU. An operation on tensors of both devices is
an error, as it is on a GPU; so is `.numpy()`. Numbers of the host are read as on a GPU: by
`.item()`, `.tolist()`, `.cpu()`. The device is called `npu`, as TorchRL's collectors know no other
names than those of real devices. It is known to the whole process: run this file as a script.

    python tests/distributed/another_device.py mappo env=encircle env.n_agents=4
"""

import sys
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.accelerators import Accelerator
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import (
    _DummyBackendModule,
    _setup_privateuseone_for_python_backend,
)

from ilvf.experiment.build import build
from ilvf.experiment.config import resolve
from ilvf.experiment.options import training_schema

DEVICE = "npu:0"
COPIES = ("copy_", "_to_copy")  # operations that read one device and write the other
INDICES = (torch.long, torch.bool, torch.uint8)  # indices may be on the host
ITERATIONS = 2


# ---------------------------------------------------------------------- tensors
class Away(torch.Tensor):
    """A tensor of the device; `here` has its numbers."""

    here: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, here):
        away = torch.Tensor._make_wrapper_subclass(
            cls,
            here.shape,
            strides=here.stride(),
            storage_offset=here.storage_offset(),
            dtype=here.dtype,
            device=torch.device(DEVICE),
        )
        away.here = here
        return away

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return computed(func, args, kwargs or {})

    def __repr__(self):
        return f"Away({self.here})"

    def tolist(self):
        return self.here.tolist()

    def numpy(self, **options):
        raise TypeError("a tensor of the device has no array: use .cpu() first")


class Everywhere(TorchDispatchMode):
    """Makes tensors on the device, also from none."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return computed(func, args, kwargs or {})


def computed(func: Any, args: Any, kwargs: Any) -> Any:
    """An operation, on the device if its tensors are there or if it is asked for."""
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
    away = [x for x in tensors if isinstance(x, Away)]
    require_one_device(func.overloadpacket.__name__, tensors, away)
    device = kwargs.get("device")
    there = bool(away) if device is None else device.type == torch.device(DEVICE).type
    if device is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    out = func(*tree_map(here, args), **tree_map(here, kwargs))
    same = {id(x.here): x for x in away}  # what an operation in place returns
    if func.overloadpacket.__name__ == "copy_":
        return args[0]
    return tree_map(lambda x: same.get(id(x), moved(x, there)), out)


def require_one_device(name: str, tensors: list, away: list) -> None:
    """Raise as CUDA does. Single numbers and indices may be on the host."""
    if not away or name in COPIES:
        return
    host = [x for x in tensors if not isinstance(x, Away) and x.dim()]
    if name.startswith("index"):
        host = [x for x in host if x.dtype not in INDICES]
    if host:
        raise RuntimeError(f"{name}: expected all tensors to be on the same device")


def here(x: Any) -> Any:
    return x.here if isinstance(x, Away) else x


def moved(x: Any, there: bool) -> Any:
    return Away(x) if there and isinstance(x, torch.Tensor) else x


# ---------------------------------------------------------------------- the device
class Generator(torch.Generator):
    """Random numbers of a device, from the CPU."""

    def __new__(cls, device="cpu"):
        return super().__new__(cls, "cpu")

    def __init__(self, device="cpu"):
        self.place = torch.device(device)

    @property
    def device(self):
        return self.place


class Backend(_DummyBackendModule):
    def synchronize(self, *_):
        pass


def copy_from(source, target, non_blocking=False):
    here(target).copy_(here(source))
    return target


def add_device() -> torch.library.Library:
    """Make the device known to torch; `torch.tensor` needs the three operations."""
    _setup_privateuseone_for_python_backend("npu", Backend())
    torch.Generator = Generator
    library = torch.library.Library("aten", "IMPL")
    library.impl(
        "empty_strided",
        lambda size, stride, dtype=None, **_: Away(torch.empty_strided(size, stride, dtype=dtype)),
        "PrivateUse1",
    )
    library.impl(
        "empty.memory_format",
        lambda size, dtype=None, **_: Away(torch.empty(size, dtype=dtype)),
        "PrivateUse1",
    )
    library.impl("_copy_from", copy_from, "PrivateUse1")
    return library


class OneDevice(Accelerator):
    def setup_device(self, device):
        pass

    def teardown(self):
        pass

    @staticmethod
    def parse_devices(devices):
        return devices

    @staticmethod
    def get_parallel_devices(devices):
        return [torch.device(DEVICE)]

    @staticmethod
    def auto_device_count():
        return 1

    @staticmethod
    def is_available():
        return True

    @staticmethod
    def name():
        return "npu"

    def get_device_stats(self, device):
        return {}


# ---------------------------------------------------------------------- training there
def devices_of(module) -> set[str]:
    """Where the networks and the environment are."""
    places = {str(p.device) for p in [*module.parameters(), *module.buffers()]}
    return places | {str(module.env.device)}


def train(name: str, arguments: list[str]) -> None:
    """Train on the device, and print where everything was and what came of it."""
    seen = set()
    torch.manual_seed(0)
    with Everywhere():
        module = build(resolve(training_schema(name), arguments))
        begin = module.begin_iteration
        module.begin_iteration = lambda: (seen.update(devices_of(module)), begin())
        trainer = Trainer(
            strategy=SingleDeviceStrategy(device=torch.device(DEVICE), accelerator=OneDevice()),
            max_epochs=ITERATIONS,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
        )
        trainer.fit(module)
    print(name, *seen, "return", module.last_metrics["eval/return/team"])


def require_errors() -> None:
    """Two devices in one operation are an error here."""
    with Everywhere():
        away = torch.ones(3, device=DEVICE)
        assert (away + 1).sum().item() == 6
        try:
            away + torch.ones(3)
        except RuntimeError as error:
            print("refused:", error)
        else:
            raise AssertionError("a sum of tensors of two devices was computed")


if __name__ == "__main__":
    library = add_device()
    require_errors()
    for case in " ".join(sys.argv[1:]).split(","):
        train(case.split()[0], case.split()[1:])
