"""What the score test costs: an iteration of ILVF-S with it, as a multiple of one without it.

python benchmarks/score_cost.py                      20, 50 and 100 agents, one thread
python benchmarks/score_cost.py --agents 20 --iterations 10

Both are times of the processor, taken in the same iterations. Without the test the iteration is
MAPPO's.
"""

import logging
import statistics
import time
from typing import Any

import torch

from common import argument_parser
from ilvf.experiment.build import build
from ilvf.experiment.config import resolve
from ilvf.experiment.options import training_schema
from training import quiet_trainer, without_evaluation


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--agents", type=int, nargs="+", default=[20, 50, 100])
    parser.add_argument("--iterations", type=int, default=5)
    args = parser.parse_args()
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    for n in args.agents:
        whole, test = seconds(n, args.iterations)
        print(
            f"n = {n}: iteration {whole:.2f} s, test {test:.3f} s, "
            f"ratio {whole / (whole - test):.3f}",
            flush=True,
        )


def seconds(n_agents: int, iterations: int) -> tuple[float, float]:
    """Medians of an iteration and of its score test [s], without the first."""
    module: Any = build(resolve(training_schema("ilvf_s"), [f"env.n_agents={n_agents}"]))
    without_evaluation()
    source = module.influence_source
    observe = source.observe
    tests: list[float] = []
    iterations_s: list[float] = []

    def timed(*arguments: Any) -> None:
        start = time.process_time()
        observe(*arguments)
        tests.append(time.process_time() - start)

    clock = module._clock
    begin = module.begin_iteration
    begun: list[float] = []

    def begin_timed() -> None:
        begun.append(time.process_time())
        begin()

    def told() -> dict[str, float]:
        iterations_s.append(time.process_time() - begun[-1])
        return clock()

    source.observe = timed
    module._clock = told
    module.begin_iteration = begin_timed
    quiet_trainer(iterations).fit(module)
    return statistics.median(iterations_s[1:]), statistics.median(tests[1:])


if __name__ == "__main__":
    main()
