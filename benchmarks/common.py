"""What the benchmarks share: a command line and timing."""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence


def argument_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser whose help shows `description` with its line breaks."""
    form = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(description=description, formatter_class=form)


def best_ms(run: Callable[[], object], repeats: int = 7, warmup: int = 2) -> float:
    """Milliseconds of the fastest of `repeats` calls."""
    times = []
    for k in range(warmup + repeats):
        start = time.perf_counter()
        run()
        if k >= warmup:
            times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def processor_ms(runs: Sequence[Callable[[], object]], turns: int = 15) -> list[float]:
    """Milliseconds of the processor that each call takes: medians over turns, after one of warm-up.

    The calls take turns, so that other programs on the machine slow down all alike.
    """
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(1 + turns):
        for run, found in zip(runs, times, strict=True):
            start = time.process_time()
            run()
            found.append(time.process_time() - start)
    return [1e3 * statistics.median(found[1:]) for found in times]
