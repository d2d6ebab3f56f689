"""The fixtures of traffic, for signals that leave the library."""

from envs.traffic.conftest import tiny_net, town  # noqa: F401
