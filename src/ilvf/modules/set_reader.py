"""`SetReader`: sets of entities in observations, read by an attention of every agent.

Axes: `B` rows, `N` agents, `K` entities, `F` features of an entity, `R` own numbers of an agent,
`E` features of an embedding.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ilvf.modules.agent_nets import AgentLinear
from ilvf.modules.entity_sets import EntitySet
from ilvf.modules.options import NetworkOptions


class SetReader(nn.Module):
    """Reads every set of an agent by an attention, and its other numbers by another reader.

        r_i = [m_i, inner(rest_i)],    m_i: for each set, the share of its K entities that are there
        x_i = [p_i, r_i],              p_i: for each set, what `EntityAttention` makes of it

    What is not there has no influence, whatever its numbers are.

    Args:
        rows: checks and flattens the input: `[*B, N, D]` → `[B, N, D]`.
        sets: where they are, and their attentions.
        sizes: (N, D).
        network: `share` is used.
        inner: (reader of the numbers outside of the sets, its width).

    Attributes:
        width: numbers of x_i.
    """

    rest: Tensor  # places of the numbers outside of the sets

    def __init__(
        self,
        rows: Callable[[Tensor], Tensor],
        sets: Sequence[EntitySet],
        sizes: tuple[int, int],
        network: NetworkOptions,
        inner: tuple[Callable[[Tensor], Tensor], int],
    ):
        super().__init__()
        n_agents, numbers = sizes
        self.rows = rows
        self.sets = tuple(sets)
        self.register_buffer("rest", torch.tensor(rest_of(sets, numbers)), persistent=False)
        self.inner, width = inner
        own = len(sets) + width
        self.attentions = nn.ModuleList(
            EntityAttention(n_agents, own, one, share=network.share) for one in sets
        )
        self.width = own + sum(one.embedding for one in sets)

    def forward(self, state: Tensor) -> Tensor:
        rows = self.rows(state)
        there = [present(rows, one) for one in self.sets]
        shares = [flags.to(rows.dtype).mean(-1, keepdim=True) for flags in there]
        rest = [self.inner(rows.index_select(-1, self.rest))] if len(self.rest) else []
        own = torch.cat([*shares, *rest], -1)
        agents_first = own.transpose(0, 1)
        pooled = []
        for attention, one, flags in zip(self.attentions, self.sets, there, strict=True):
            pooled.append(attention(agents_first, features(rows, one), flags).transpose(0, 1))
        return torch.cat([*pooled, own], -1)


class EntityAttention(nn.Module):
    """What an agent makes of a set of entities, in any order of them.

        e_k = relu(W z_k + U r)                           z_k: features of entity k; r: own numbers
        α   = softmax_k(q(r) · k(e_k) / √(E / heads))     over those that are there, and e_0
        p   = Σ_k α_k v(e_k)                              in every head; the heads side by side

    q, k and v are linear. e_0 is learned and always there: it stands for an empty set, and keeps
    the softmax and its gradient finite. All is separate for every agent, in one batched
    product for the team.

    Attention over entities with their mask, where r goes into every entity, is as in Baker et al.
    (2020); a sum over embeddings is the form of every function of a set (Deep Sets, Zaheer et al.,
    2017); one query that pools a set is that of the Set Transformer (Lee et al., 2019).

    Args:
        n_agents, own: N, R.
        entities: F, heads and E.
        share: one network for all agents, with biases and e_0 of each agent.
    """

    def __init__(self, n_agents: int, own: int, entities: EntitySet, *, share: bool = False):
        super().__init__()
        width = entities.embedding
        self.heads = entities.heads
        self.of_entity = AgentLinear(n_agents, entities.features, width, share=share, bias=False)
        self.of_own = AgentLinear(n_agents, own, width, share=share)
        self.query = AgentLinear(n_agents, own, width, gain=1.0, share=share)
        self.key_value = AgentLinear(n_agents, width, 2 * width, gain=1.0, share=share)
        self.nobody = nn.Parameter(torch.zeros(n_agents, 1, 1, width))  # e_0

    def forward(self, own: Tensor, entities: Tensor, there: Tensor) -> Tensor:
        """p `[N, B, E]`.

        Args:
            own: r, `[N, B, R]`.
            entities: z, `[B, N, K, F]`.
            there: bool `[B, N, K]`.
        """
        embedded = self.embed(own, entities, there)
        query = self.query(own).unflatten(-1, (self.heads, -1)).unsqueeze(2)  # [N, B, 1, h, E/h]
        both = self.key_value(embedded.flatten(1, 2)).unflatten(1, embedded.shape[1:3])
        key, value = both.unflatten(-1, (2, self.heads, -1)).unbind(-3)  # [N, B, 1 + K, h, E/h]
        logits = (query * key).sum(-1) / math.sqrt(key.shape[-1])
        always = torch.ones_like(there[..., :1])
        candidates = torch.cat([always, there], -1).transpose(0, 1).unsqueeze(-1)
        alpha = logits.masked_fill(~candidates, -torch.inf).softmax(2)
        return (alpha.unsqueeze(-1) * value).sum(2).flatten(2)

    def embed(self, own: Tensor, entities: Tensor, there: Tensor) -> Tensor:
        """e_0 and e_1 to e_K, `[N, B, 1 + K, E]`; see `forward`."""
        z = entities.masked_fill(~there.unsqueeze(-1), 0).transpose(0, 1)  # NaN among them too
        y = self.of_entity(z.flatten(1, 2)).unflatten(1, z.shape[1:3])
        found = (y + self.of_own(own).unsqueeze(2)).relu()
        nobody = self.nobody.expand(-1, found.shape[1], -1, -1)
        return torch.cat([nobody, found], 2)


# ---------------------------------------------------------------------- places
def rest_of(sets: Sequence[EntitySet], numbers: int) -> list[int]:
    """Places of the numbers that are in no set."""
    taken = {place for one in sets for places in one.places for place in places}
    return [place for place in range(numbers) if place not in taken]


def features(rows: Tensor, one: EntitySet) -> Tensor:
    """`[B, N, K, F]` of the rows `[B, N, D]`."""
    numbers = rows.narrow(-1, one.begin, one.entities * one.features)
    return numbers.unflatten(-1, (one.entities, one.features))


def present(rows: Tensor, one: EntitySet) -> Tensor:
    """Which entities are there, bool `[B, N, K]`, of the rows `[B, N, D]`."""
    return rows.narrow(-1, one.mask, one.entities) > 0.5
