"""Whether a machine has room for a number of simulators."""

MEMORY = 50e6  # [bytes] of one simulator on full roads
PER_CORE = 4  # simulators per core above which a warning is given


def crowded(num_envs: int, cores: int, free: float) -> str:
    """A warning if there are too many simulators for a machine; "" otherwise.

    Args:
        num_envs: number of simulators.
        cores: of the machine.
        free: free memory [bytes].
    """
    need = num_envs * MEMORY
    if num_envs <= PER_CORE * cores and need <= free:
        return ""
    return (
        f"{num_envs} simulators at once need about {need / 1e9:.1f} GB of memory, of which "
        f"{free / 1e9:.1f} GB are free, and share {cores} cores; there are fewer with "
        "preset=traffic, or by algorithm.num_envs= and algorithm.eval_episodes="
    )
