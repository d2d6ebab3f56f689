"""Traffic signals on SUMO: networks, two published scenarios, the environment. Needs the extra `ilvf[sumo]`."""

from typing import TYPE_CHECKING

from ilvf.lazy import lazily

if TYPE_CHECKING:
    from ilvf.envs.traffic.batched import Traffic
    from ilvf.envs.traffic.env import SumoTrafficEnv
    from ilvf.envs.traffic.network.network import Network, Scenario, Signal, read_network

__all__ = ["Network", "Scenario", "Signal", "SumoTrafficEnv", "Traffic", "read_network"]

__getattr__ = lazily(
    __name__,
    {
        "network.network": ["Network", "Scenario", "Signal", "read_network"],
        "env": ["SumoTrafficEnv"],
        "batched": ["Traffic"],
    },
)
