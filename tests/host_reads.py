"""Counts what reads numbers of a device on the host.

Reading a tensor's numbers (`.item()`, `bool(x)`, `x.tolist()`, a boolean index) makes the host wait
for everything that a GPU still has to do. Here the reads are counted on the CPU, by the operations
that they call. A tensor made of numbers of the host (`torch.tensor`) counts too: its copy to the
device waits.
"""

import sys
from collections import Counter

import torch
from torch.utils._python_dispatch import TorchDispatchMode

READS = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "lift_fresh")


class HostReads(TorchDispatchMode):
    """Counts the reads by the function of this library, or the other library, that asks."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()
        self.methods = {}

    def __enter__(self):
        for name in ("tolist", "numpy"):  # these call no operation
            method = getattr(torch.Tensor, name)
            self.methods[name] = method
            setattr(torch.Tensor, name, self.counted(method))
        return super().__enter__()

    def __exit__(self, *error):
        for name, method in self.methods.items():
            setattr(torch.Tensor, name, method)
        return super().__exit__(*error)

    def counted(self, method):
        def reading(tensor, *arguments, **options):
            self.counts[asking()] += 1
            return method(tensor, *arguments, **options)

        return reading

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in READS or (name.startswith("index") and has_boolean_index(args)):
            self.counts[asking()] += 1
        return func(*args, **(kwargs or {}))


def has_boolean_index(args):
    indices = args[1] if len(args) > 1 and isinstance(args[1], list | tuple) else ()
    return any(x is not None and x.dtype in (torch.bool, torch.uint8) for x in indices)


def asking():
    """ "algorithms/base.py _gathered", or the name of another library."""
    frame = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if "/ilvf/" in path:
            return f"{path.rpartition('/ilvf/')[2]} {frame.f_code.co_name}"
        for library in ("torchrl", "lightning"):
            if f"/{library}/" in path:
                return library
        frame = frame.f_back
    return "unknown"


def one_hot(index, n_classes):
    """What `torch.nn.functional.one_hot` computes on a GPU, where it checks nothing on the host."""
    return (index.unsqueeze(-1) == torch.arange(n_classes)).long()


def imitate_gpu(monkeypatch):
    """Replace guards for tensors on the host, and `one_hot`, by what they do on a GPU."""
    monkeypatch.setattr("ilvf.envs.base.on_host", lambda x: False)
    monkeypatch.setattr("torch.nn.functional.one_hot", one_hot)


def reads_of(function, *arguments):
    with HostReads() as reads:
        function(*arguments)
    return reads.counts.total()
