"""What a step of ILVF-P costs if a part of the frames teaches its attention.

python benchmarks/attention_share.py                 n = 10, 20, 50, 100, one thread
python benchmarks/attention_share.py --agents 20

Milliseconds of the processor for an optimiser step of `update.py`, beside that of Ŵ = 1, which has
no attention. All shares of a row take turns. The last columns are whole iterations of 15 epochs
under Lightning, share by share, ÷ those of Ŵ = 1.
"""

import logging
import warnings

import torch

from common import argument_parser, processor_ms
from ilvf.experiment.memory import keep_memory
from update import ONE_MINIBATCH, algorithm, frames_per_s, step_of

SHARES = (1.0, 0.5, 0.25)


def row(n: int) -> str:
    """A line of the table."""
    kinds = [(False, 1.0), *((True, share) for share in SHARES)]
    steps = []
    rates = []
    for learned, share in kinds:
        options = {"attention_share": share, "supervision": 0.0} if learned else {}
        steps.append(step_of(algorithm(n, learned, False, **options), n))
        rates.append(frames_per_s(algorithm(n, learned, False, **options, **ONE_MINIBATCH)))
    ones, *shared = processor_ms(steps, turns=7)
    words = "".join(f" {ms:9.1f} {ms / ones:5.2f} |" for ms in shared)
    fast, *slower = rates
    ratios = "".join(f" {fast / rate:5.2f}" for rate in slower)
    return f"{n:4d} | {ones:13.1f} |{words} {ratios}"


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--agents", type=int, nargs="*", default=[10, 20, 50, 100])
    arguments = parser.parse_args()
    keep_memory()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    shares = "".join(f"  share {share:4g}, ÷ |" for share in SHARES)
    print(f"   n | step Ŵ=1 [ms] |{shares}  iteration ÷ Ŵ=1")
    for n in arguments.agents:
        print(row(n), flush=True)


if __name__ == "__main__":
    main()
