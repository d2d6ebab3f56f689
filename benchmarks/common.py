"""What the benchmarks share: a command line and timing."""

import argparse
import time
from collections.abc import Callable


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
