"""A quick start changes when libraries are imported and searched, and nothing else."""

import gc
import subprocess
import sys
import weakref

import pytest

from ilvf.starting import starting


class Knot:
    """Garbage that only a search finds."""

    def __init__(self):
        self.itself = self


def test_no_search_in_the_block_and_garbage_is_found_after_it():
    with starting():
        assert not gc.isenabled()
        knot = weakref.ref(Knot())
        with starting():
            assert not gc.isenabled()
        assert not gc.isenabled()
        assert knot() is not None
    assert gc.isenabled()
    gc.collect()
    assert knot() is None


def test_an_error_ends_the_block_too():
    with pytest.raises(KeyError), starting():
        raise KeyError
    assert gc.isenabled()


def test_who_has_switched_the_searches_off_keeps_them_off():
    gc.disable()
    try:
        with starting():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


AFTER_A_START = """
import sys
from ilvf.starting import starting
with starting():
    import lightning
assert "scipy.signal" not in sys.modules
import scipy.signal
print(scipy.signal.__file__, scipy.signal.hilbert([1.0, 2.0]))
"""

WITHIN_A_START = """
import sys
from ilvf.starting import starting
with starting():
    import scipy.signal as first
    from scipy.signal import hilbert
    import scipy.signal.windows
    import scipy.signal as second
assert first.hilbert is second.hilbert is hilbert
assert sys.modules["scipy.signal"] is second
print(second.__file__, hilbert([1.0, 2.0]))
"""


@pytest.mark.parametrize("program", [AFTER_A_START, WITHIN_A_START])
def test_scipy_signal_comes_when_it_is_used(program):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "scipy/signal/__init__.py" in done.stdout


REFUSALS = """
import sys
from ilvf.commands.cli import module_of
from ilvf.errors import UsageError
for line in sys.stdin.read().splitlines():
    command, *words = line.split()
    try:
        module_of(command).main(words)
    except UsageError:
        continue
    raise SystemExit(f"{line} is not refused")
print([name for name in ("torch", "lightning", "mlflow", "matplotlib") if name in sys.modules])
"""
WRONG = """train ilvf_q
train ilvf_p algorithm.taw=1
train ilvf_p algorithm.tau=x
train ilvf_p env=encirle
train ilvf_p env.n_agents=1.5
train ilvf_p seeds=4-0
train ilvf_p seeds=x
train ilvf_p trainer.max_epochs=0
train ilvf_p preset=papr
evaluate
evaluate policy=random algorithm.eval_episodes=0
compare out=nowhere
study fig
study beyond tasks=nothing
sweep ilvf_p algorithm.taw=1,2
audit audit.states=0
"""


def test_wrong_values_are_refused_before_heavy_imports_and_leave_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", REFUSALS],
        input=WRONG,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []
