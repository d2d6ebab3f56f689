"""`FixedInfluence`: a known graph as influence."""

from tensordict import TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor

from ilvf.credit.sources import InfluenceSource
from ilvf.credit.sparse import SparseInfluence
from ilvf.credit.weights import require_graph
from ilvf.errors import require
from ilvf.options.arguments import require_flags


class FixedInfluence(InfluenceSource):
    """The same graph in every state: ones is MAPPO, the identity IPPO-C, a known graph the oracle.

    Args:
        graph: Ŵ `[N, N]`, in [0, 1]. Graphs of what enters an agent's reward, such as
            `env.reward_graph`, are its transpose.
        sparse: mix advantages by the entries that differ from their row's minimum, which is faster
            for the sparse graph of a large team.
    """

    checked = True
    graph: Tensor

    def __init__(self, graph: Tensor, *, sparse: bool = False):
        super().__init__()
        require_graph(graph)
        require_flags("FixedInfluence", sparse=sparse)
        self.register_buffer("graph", graph, persistent=False)  # belongs to the configuration
        weights = graph if graph.is_floating_point() else graph.float()
        self.links = SparseInfluence.of(weights) if sparse else None

    def influence(
        self, tensordict: TensorDictBase, key: NestedKey, like: Tensor
    ) -> Tensor | SparseInfluence:
        """The graph, expanded without a copy."""
        n = like.shape[-2]
        found = self.graph.shape[0]
        require(found == n, f"influence is for {found} agents, the advantage has {n}")
        if self.links is not None:
            self.links = self.links.to(like)
            return self.links
        return self.graph.to(like).expand(*like.shape[:-1], n)

    def drawn(self, value: Tensor) -> Tensor | SparseInfluence:
        return value if self.links is None else self.links
