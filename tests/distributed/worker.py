"""Run by torchrun in two processes; writes one JSON file per process, and ends with an error.

torchrun --nproc-per-node 2 worker.py FOLDER
"""

import json
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from tensordict import TensorDict

from ilvf.commands.train import train_algorithm
from ilvf.credit import ScoreInfluence, standardise
from ilvf.credit.sources import AgentSignals
from ilvf.distributed import decided_by_first, mean_over_ranks
from ilvf.errors import UsageError, run_recipe
from ilvf.modules import CategoricalActor, ValueNorm

N = 3  # agents
MEAN = 1e4
ROWS = (400, 100)  # of each process; standardise weights processes equally without a mask


def fail():
    raise UsageError("no: such folder")


def all_rows(masked):
    """The rows of both processes and their mask, the same in both."""
    generator = torch.Generator().manual_seed(0)
    rows = ROWS if masked else (250, 250)
    parts = [MEAN + k * 3 + torch.randn(n, N, 1, generator=generator) for k, n in enumerate(rows)]
    masks = [torch.rand(n, N, 1, generator=generator) < 0.5 for n in rows]
    masks[1][:, 2] = False  # in the second process the last agent is always dead
    return parts, masks


def error_of_standardise(rank, masked):
    """Largest difference from float64 over the rows of both processes."""
    parts, masks = all_rows(masked)
    mask = masks[rank] if masked else None
    found = standardise(parts[rank], mask=mask).double()
    x = torch.cat(parts).double()
    weight = torch.cat(masks).double() if masked else torch.ones_like(x)
    count = weight.sum(0)
    mean = (x * weight).sum(0) / count
    variance = ((x - mean).square() * weight).sum(0) / count
    expected = (parts[rank].double() - mean) / variance.sqrt()
    return (found - expected).abs().max().item()


def moments(rank):
    """Mean and standard deviation of a ValueNorm after one update in both processes."""
    parts, _ = all_rows(masked=False)
    norm = ValueNorm((N, 1))
    norm.update(parts[rank])
    mean, std = norm.moments()
    exact = torch.cat(parts).double()
    return [
        (mean - exact.mean(0)).abs().max().item(),
        (std - exact.std(0, correction=0)).abs().max().item(),
    ]


def score_evidence(half):
    """Z after two rollouts of 16 environments, of which each process has a half (None: all)."""
    torch.manual_seed(0)
    actor = CategoricalActor(N, 4, 3, hidden=8)
    source = ScoreInfluence(actor)
    for _ in range(2):
        td = TensorDict({"agents": {"observation": torch.randn(16, 20, N, 4)}}, [16, 20])
        actor(td)
        done = torch.zeros(16, 20, N, 1, dtype=torch.bool)
        done[:, 9] = True
        reward = torch.randn(16, 20, N, 1) + (td["agents", "action"] == 0).unsqueeze(-1)
        own = slice(None) if half is None else slice(8 * half, 8 * half + 8)
        signals = AgentSignals(reward[own], done[own], reward[own], ~done[own], time=1)
        source.observe(td[own].detach(), signals)
    return {name: value.tolist() for name, value in source.state_dict().items()}


def main():
    rank = int(os.environ["RANK"])
    said = {"rank": rank, "pid": os.getpid()}
    said["before"] = [decided_by_first(lambda: f"{os.getpid()} a: b") for _ in range(2)]
    try:
        decided_by_first(fail)
    except UsageError as error:
        said["error"] = str(error)
    said["evidence of one process"] = score_evidence(None)
    dist.init_process_group("gloo")
    said["after"] = decided_by_first(lambda: str(os.getpid()))
    view = torch.full((2, 3), float(rank)).T
    said["mean"] = mean_over_ranks(view).tolist()
    said["standardise"] = [error_of_standardise(rank, masked) for masked in (False, True)]
    said["moments"] = moments(rank)
    said["evidence"] = score_evidence(rank)
    Path(sys.argv[1], f"{rank}.json").write_text(json.dumps(said))
    dist.destroy_process_group()
    run_recipe(train_below_a_file)


def train_below_a_file():
    """The first process finds that the run's folder cannot be made, and both end."""
    file = Path(sys.argv[1], "0.json")
    train_algorithm("ilvf_p", arguments=[f"out={file / 'x'}", "trainer.devices=2"])


if __name__ == "__main__":
    main()
