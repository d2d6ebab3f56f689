"""Frames per second on each device, and what a card allows on paper.

python benchmarks/gpu.py                              all devices; the CPU up to 1024 environments
python benchmarks/gpu.py --devices cpu --envs 64 256 --algorithms mappo
python benchmarks/gpu.py --budget                     the bounds on paper only; needs no GPU

Encircle with 20 agents, iterations of 20 steps in B environments, 5 passes of 4 minibatches. The
first iteration is not counted. Two or more GPUs also train one team by DDP.

The bounds of an iteration are those of its products (FLOPs ÷ peak), of what its operations read and
write (bytes ÷ bandwidth, as if nothing were fused) and of their number (operations × the time in
which a kernel starts). The first two are counted in a small iteration on the CPU and grow with B;
the third does not.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from common import argument_parser
from ilvf.experiment.build import build
from ilvf.experiment.config import resolve
from ilvf.experiment.options import training_schema
from training import quiet_trainer, without_evaluation

AGENTS = 20
STEPS = 20
COUNTED_ENVS = 32
LARGEST_ON_CPU = 1024
HEAD = (
    "| algorithm | device | B | frames/s | collecting | memory [GiB] | busy |\n"
    "|---|---|---|---|---|---|---|"
)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--algorithms", nargs="+", default=["mappo", "ilvf_s", "ilvf_p"])
    parser.add_argument("--envs", nargs="+", type=int, default=[256, 1024, 4096, 16_384])
    parser.add_argument("--devices", nargs="+", choices=["cpu", "cuda"], default=devices())
    parser.add_argument("--iterations", type=int, default=4)
    parser.add_argument("--budget", action="store_true", help="measure nothing")
    parser.add_argument("--tflops", type=float, default=67.0, help="float32 peak (H100: 67)")
    parser.add_argument("--bandwidth", type=float, default=3350.0, help="GB/s (H100: 3350)")
    parser.add_argument("--launch", type=float, default=5.0, help="start of a kernel [µs]")
    args = parser.parse_args()
    if args.iterations < 2:
        parser.error("--iterations must be at least 2: the first is not counted")
    for algorithm in args.algorithms:
        work = Work.of(algorithm)
        for envs in args.envs:
            print(work.bounds(envs, args.tflops, args.bandwidth, args.launch), flush=True)
    if args.budget:
        return
    print(f"\n{names(args.devices)}\n\n{HEAD}", flush=True)
    for algorithm in args.algorithms:
        for envs in args.envs:
            for device in args.devices:
                if device != "cpu" or envs <= LARGEST_ON_CPU:
                    print(measured(algorithm, device, envs, args.iterations), flush=True)
    if "cuda" in args.devices and torch.cuda.device_count() > 1:
        for algorithm in args.algorithms:
            print(by_ddp(algorithm, max(args.envs), args.iterations), flush=True)


def devices() -> list[str]:
    """Those of this machine."""
    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def names(chosen: list[str]) -> str:
    """What the devices are called."""
    cards = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
    cpu = f"CPU: {torch.get_num_threads()} threads"
    return "; ".join([cpu, *(cards if "cuda" in chosen else [])])


def keys(algorithm: str, envs: int) -> list[str]:
    """The arguments of a run; ILVF-P is without its score test."""
    return [
        *(["algorithm.supervision=0"] if algorithm == "ilvf_p" else []),
        f"env.n_agents={AGENTS}",
        f"algorithm.num_envs={envs}",
        f"algorithm.rollout_steps={STEPS}",
        "algorithm.eval_every=100000",
        "algorithm.eval_episodes=1",
    ]


def trained(algorithm: str, device: str, envs: int, iterations: int, *callbacks: Any) -> Any:
    """The module after some iterations."""
    module: Any = build(resolve(training_schema(algorithm), keys(algorithm, envs)))
    without_evaluation()
    accelerator = "gpu" if device == "cuda" else "cpu"
    quiet_trainer(iterations, *callbacks, accelerator=accelerator).fit(module)
    return module


# ---------------------------------------------------------------------- measured
class Watching(L.Callback):
    """Keeps the speed of every iteration, and how busy the card was."""

    def __init__(self) -> None:
        self.speed: list[float] = []
        self.collecting: list[float] = []
        self.busy: list[float] = []

    def on_train_batch_end(self, trainer: L.Trainer, *others: Any) -> None:
        if trainer.current_epoch > 0 and torch.cuda.is_available():
            try:
                self.busy.append(torch.cuda.utilization())
            except ModuleNotFoundError:  # nvidia-ml-py
                self.busy.append(float("nan"))

    def on_train_epoch_start(self, trainer: L.Trainer, module: Any) -> None:
        if trainer.current_epoch > 0:
            self._keep(module.last_metrics)

    def on_train_end(self, trainer: L.Trainer, module: Any) -> None:
        self._keep(module.last_metrics)

    def _keep(self, metrics: dict[str, float]) -> None:
        self.speed.append(metrics["time/frames_per_s"])
        self.collecting.append(metrics["time/collect_share"])


def measured(algorithm: str, device: str, envs: int, iterations: int) -> str:
    """A row of the table."""
    on_gpu = device == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    watching = Watching()
    trained(algorithm, device, envs, iterations, watching)
    memory = f"{torch.cuda.max_memory_allocated() / 2**30:.2f}" if on_gpu else ""
    busy = f"{statistics.mean(watching.busy):.0f} %" if on_gpu else ""
    speed = statistics.median(watching.speed[1:])
    share = statistics.median(watching.collecting[1:])
    return f"| {algorithm} | {device} | {envs} | {speed:,.0f} | {share:.2f} | {memory} | {busy} |"


def by_ddp(algorithm: str, envs: int, iterations: int) -> str:
    """The row of all cards, with `envs` environments each."""
    cards = torch.cuda.device_count()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "ilvf", "train", algorithm, *keys(algorithm, envs)]
        more = ["trainer.accelerator=gpu", f"trainer.devices={cards}", "trainer.progress=false"]
        more += [f"trainer.max_epochs={iterations}", "trainer.logger=csv", f"out={folder}"]
        subprocess.run([*command, *more], check=True, capture_output=True)
        [file] = Path(folder).rglob("metrics.jsonl")
        rows = [json.loads(line) for line in file.read_text().splitlines()]
    speed = statistics.median(row["time/frames_per_s"] for row in rows[1:])
    return f"| {algorithm} | {cards} × cuda | {envs} each | {speed:,.0f} | | | |"


# ---------------------------------------------------------------------- on paper
@dataclass(frozen=True)
class Work:
    """What an iteration with `COUNTED_ENVS` environments does.

    Attributes:
        algorithm: its name.
        flops: of products.
        bytes: that operations read and write.
        operations: that would start a kernel.
    """

    algorithm: str
    flops: int
    bytes: int
    operations: int

    @classmethod
    def of(cls, algorithm: str) -> "Work":
        """Counted in the second of two iterations."""
        counting = Counting()
        trained(algorithm, "cpu", COUNTED_ENVS, 2, counting)
        return cls(algorithm, counting.flops, counting.traffic.bytes, counting.traffic.operations)

    def bounds(self, envs: int, tflops: float, bandwidth: float, launch: float) -> str:
        """The three bounds of an iteration, and the speed that they allow."""
        scale = envs / COUNTED_ENVS
        seconds = {
            "products": scale * self.flops / (tflops * 1e12),
            "memory": scale * self.bytes / (bandwidth * 1e9),
            "starts": self.operations * launch * 1e-6,
        }
        slowest = max(seconds, key=lambda name: seconds[name])
        words = ", ".join(f"{name} {1e3 * s:.1f} ms" for name, s in seconds.items())
        speed = envs * STEPS / seconds[slowest]
        return f"{self.algorithm}, B = {envs}: {words}: at most {speed:,.0f} frames/s ({slowest})"


class Traffic(TorchDispatchMode):
    """Counts the operations that are no views, and the bytes of their inputs and outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0
        self.operations = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        leaves = torch.utils._pytree.tree_leaves
        read = [x for x in leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        written = [x for x in leaves(out) if isinstance(x, torch.Tensor)]
        if written and not func.is_view:
            self.operations += 1
            self.bytes += sum(x.numel() * x.element_size() for x in read + written)
        return out


class Counting(L.Callback):
    """Counts the work of the second iteration."""

    def __init__(self) -> None:
        self.traffic = Traffic()
        self.counter = FlopCounterMode(display=False)
        self.flops = 0

    def on_train_epoch_start(self, trainer: L.Trainer, module: Any) -> None:
        if trainer.current_epoch == 1:
            self.counter.__enter__()
            self.traffic.__enter__()

    def on_train_epoch_end(self, trainer: L.Trainer, module: Any) -> None:
        if trainer.current_epoch == 1:
            self.traffic.__exit__(None, None, None)
            self.counter.__exit__(None, None, None)
            self.flops = self.counter.get_total_flops()


if __name__ == "__main__":
    main()
