"""`IndividualAdvantages`: any TorchRL value estimator for every agent of one or several groups."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from tensordict.utils import NestedKey, unravel_key
from torch import Tensor, nn
from torchrl.objectives.value import MultiAgentGAE, ValueEstimatorBase

from ilvf.credit.signals import (
    alive,
    alive_in_groups,
    earned,
    key_tuple,
    keys_of_group,
    number_of_agents,
    of_group,
    per_agent,
    require_critic,
    require_group,
    time_axis,
    to_agents,
    write_values,
    zero_dead_values,
)
from ilvf.errors import UsageError, require
from ilvf.modules.checks import require_truth
from ilvf.modules.groups import group_names
from ilvf.options.arguments import require_device, require_flags, require_kind

SIGNALS = ("reward", "done", "terminated")
ESTIMATOR = "a TorchRL value estimator, such as MultiAgentGAE(...)"
NETWORK = "value_network"  # name of the critic, or of the network of `inner`, among the submodules
INNER_KEYS = (*SIGNALS, "value", "value_target", "steps_to_next_obs", "sample_log_prob")


class IndividualAdvantages(ValueEstimatorBase):
    """Every agent's own advantage A_j, by an estimator that may know nothing of agents.

    What `ILVFAdvantage` mixes; see there for the arguments and the keys. A subclass declares the
    keys, `individual_advantage`, `mask` and `bootstrap` among them: TorchRL inherits none.

    Args:
        inner: any value estimator.
        critic: TensorDictModule that writes the value; None if the tensordict has it, or `inner`
            has a network.
        group: the group of agents, or several groups.
        shifted: take V(s_{t+1}) from the state of step t + 1 where the episode goes on.
        device: of the estimator's constants.
    """

    critic: TensorDictModuleBase | None

    def __init__(
        self,
        inner: ValueEstimatorBase,
        critic: TensorDictModuleBase | None,
        *,
        group: str | Sequence[str],
        shifted: bool,
        device: torch.device | None,
    ):
        name = type(self).__name__
        require_kind(name, "inner", inner, ValueEstimatorBase, ESTIMATOR)
        require(
            not (isinstance(inner, MultiAgentGAE) and inner.average_gae),
            f"{name}: inner with average_gae=True scales the advantages of each agent alone, so "
            "that their sum is another objective; leave it out, the sum is standardised",
        )
        require_critic(critic)
        require_flags(name, shifted=shifted)
        if device is not None:
            require_device(name, device)
        network = critic if critic is not None else inner.value_network
        super().__init__(value_network=network, device=device)
        self.inner = inner
        self._hold(network)
        self.__dict__["critic"] = critic  # held as value_network
        self.shifted_values = shifted
        self.groups = group_names(group)
        self.set_keys(**self.initial_keys())

    # ------------------------------------------------------------------ networks
    def _hold(self, network: Any) -> None:
        """Make the network a submodule, which TorchRL's base class does not.

        A loss that is built on the same network counts its parameters once.
        """
        if isinstance(network, nn.Module):
            del self.__dict__["value_network"]
            self.value_network = network

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        """Accept the state of a loss that was saved when estimators did not hold their networks."""
        held = f"{prefix}{NETWORK}."
        network = self._modules.get(NETWORK)
        if prefix and network is not None and not any(key.startswith(held) for key in state_dict):
            warnings.warn(
                f"the state of {prefix.rstrip('.')} has no {NETWORK}, because an older version "
                "saved it; the network keeps the parameters that the loss has loaded",
                stacklevel=2,
            )
            state_dict.update(network.state_dict(prefix=held))
        super()._load_from_state_dict(state_dict, prefix, *others)

    # ------------------------------------------------------------------ keys
    def initial_keys(self) -> dict[str, NestedKey]:
        """Default keys of the groups, overridden by those of an inner estimator with a network."""
        first, *others = self.groups
        keys = keys_of_group(self.default_keys(), first)
        written = getattr(self.value_network, "out_keys", [])
        if others:
            written = [key for key in written if key_tuple(key)[0] == first]
        elif self.inner.value_network is not None:
            keys |= self._keys_set_on_inner(keys)
        if written and unravel_key(keys["value"]) not in written:
            keys["value"] = written[0]
        return keys

    def _keys_set_on_inner(self, keys: dict[str, NestedKey]) -> dict[str, NestedKey]:
        """The keys of `inner` that differ from its defaults."""
        defaults = asdict(self.inner.default_keys())
        changed = {}
        for name, key in asdict(self.inner.tensor_keys).items():
            ours = name == "advantage" and key == keys["individual_advantage"]
            if name in keys and key != defaults.get(name) and not ours:
                changed[name] = key
        return changed

    def set_keys(self, **kwargs: NestedKey) -> None:
        """Rename what is read and written; the keys of `inner` follow."""
        try:
            super().set_keys(**kwargs)
        except KeyError as error:
            raise UsageError(f"{type(self).__name__}: {error.args[0]}") from error
        self._set_inner_keys(self.groups[0])

    def _set_inner_keys(self, group: str) -> None:
        shared = set(asdict(self.inner.tensor_keys)) & set(INNER_KEYS)
        keys = {name: unravel_key(self.key_of(name, group)) for name in shared}
        self.inner.set_keys(**keys, advantage=self.key_of("individual_advantage", group))

    def key_of(self, name: str, group: str) -> NestedKey:
        """The key of a group that a name of `set_keys` means."""
        return of_group(getattr(self.tensor_keys, name), self.groups[0], group)

    # ------------------------------------------------------------------ estimates
    def estimate(self, tensordict: TensorDictBase, time_dim: int | None, **options: Any) -> int:
        """Write A_j, the value target and values of all groups' agents into a rollout `[*B, T]`.

        Args:
            time_dim: the axis T; None finds it.
            options: of a call of `inner`.

        Returns:
            the axis T.
        """
        for group in self.groups:
            require_group(tensordict, group, self.key_of("reward", group))
        time = self._time(tensordict, time_dim)
        shape = tuple(tensordict.shape)
        require(all(shape), f"the rollout has the shape {shape}, without a step; collect some")
        self._write_values(tensordict, time)
        for group in self.groups:
            self._estimate(tensordict, group, time, **options)
        self._require_finite(tensordict)
        return time

    def value_estimate(self, tensordict: TensorDictBase, **kwargs: Any) -> Tensor:
        """The value target of `inner`, without mixing; of the first group, if there are several."""
        self._write_values(tensordict, self._time(tensordict, kwargs.get("time_dim")))
        self._set_inner_keys(self.groups[0])
        return self.inner.value_estimate(self._broadcast(tensordict, self.groups[0]), **kwargs)

    def individual(self, tensordict: TensorDictBase) -> tuple[Tensor, Tensor | None, list[int]]:
        """A `[*B, T, N, 1]` of all groups, 0 for the dead; who lives; the groups' sizes."""
        parts = [per_agent(tensordict, self.key_of("individual_advantage", g)) for g in self.groups]
        sizes = [part.shape[-2] for part in parts]
        masks = [self.key_of("mask", g) for g in self.groups]
        living = alive_in_groups(tensordict, masks, sizes)
        individual = parts[0] if len(parts) == 1 else torch.cat(parts, -2)
        if living is not None:
            individual = individual.masked_fill(~living, 0)
        return individual, living, sizes

    def _require_finite(self, tensordict: TensorDictBase) -> None:
        """Raise if an advantage is not finite, and name the entry that it comes from.

        It reads the device, once per rollout, so that compiled code does not do it.
        """
        if torch.compiler.is_compiling():
            return
        individual, _, _ = self.individual(tensordict)
        if torch.isfinite(individual).all():
            return
        values = [self.key_of("value", group) for group in self.groups]
        ahead = [self.key_of("reward", group) for group in self.groups] + values
        for key in [*values, *(("next", *key_tuple(key)) for key in ahead)]:
            entry = tensordict.get(key, None)
            require(
                entry is None or bool(torch.isfinite(entry).all()),
                f"the entry {key} of the rollout has NaN or infinite numbers; correct the "
                "environment's rewards, or, of values, lower the learning rate",
            )
        key = self.tensor_keys.individual_advantage
        raise UsageError(f"the estimator has written {key} with numbers that are not finite")

    def _time(self, tensordict: TensorDictBase, given: int | None) -> int:
        configured = getattr(self.inner, "time_dim", None)
        time = time_axis(tensordict, configured if given is None else given)
        require(
            configured is None or configured % tensordict.ndim == time,
            f"time_dim={given}, but inner was built with time_dim={configured}; "
            "give it to one of them",
        )
        return time

    def _write_values(self, tensordict: TensorDictBase, time: int) -> None:
        """Write V, and V of the next states, for all groups."""
        if self.critic is None:
            return
        keys = [self.key_of("value", group) for group in self.groups]
        done = self.tensor_keys.done if self.shifted_values else None
        write_values(self.critic, tensordict, keys, time, done)
        for group in self.groups:
            value = self.key_of("value", group)
            mask = self.key_of("mask", group)
            zero_dead_values(tensordict, value, mask)
            following = tensordict.get("next")
            bootstrap = self.key_of("bootstrap", group)
            counts = bootstrap if following.get(bootstrap, None) is not None else mask
            zero_dead_values(following, value, counts)

    def _estimate(self, tensordict: TensorDictBase, group: str, time: int, **options: Any) -> None:
        """Write A_j and the value target of every agent of a group, by `inner`."""
        self._set_inner_keys(group)  # every time: groups may share one estimator
        work = self._broadcast(tensordict, group)
        work.names = ["time" if k == time else None for k in range(work.ndim)]
        self.inner(work, **options)
        names = ("individual_advantage", "value_target", "value")
        written = [self.key_of(name, group) for name in names]
        next_value = ("next", *key_tuple(written[-1]))
        for key in (*written, next_value, "shifted_valid"):
            value = work.get(key, None)
            if value is not None:
                tensordict.set(key, value)
        per_agent(tensordict, written[0])

    def _broadcast(self, tensordict: TensorDictBase, group: str) -> TensorDictBase:
        """A shallow copy in which reward and done of the whole team have an agent axis."""
        work = tensordict.copy()
        for name in ("done", "terminated"):
            key = ("next", *key_tuple(self.key_of(name, group)))
            end = tensordict.get(key, None)
            if end is not None:
                require_truth(str(key), end)
        has_network = self.inner.value_network is not None
        mask = self.key_of("mask", group)
        if has_network and isinstance(self.inner, MultiAgentGAE) and mask not in tensordict:
            return work  # it expands them itself
        value = self.key_of("value", group)
        signals = {name: ("next", *key_tuple(self.key_of(name, group))) for name in SIGNALS}
        if has_network:
            n = number_of_agents(tensordict, group, [value, signals["reward"]])
        else:
            n = per_agent(tensordict, value).shape[-2]
        work.update({key: to_agents(tensordict, key, n) for key in signals.values()})
        steps = self.key_of("steps_to_next_obs", group)
        if steps in tensordict:
            work[steps] = to_agents(tensordict, steps, n)
        living = alive(tensordict, mask, n)
        if living is not None:
            following = tensordict["next"]
            bootstrap = alive(following, self.key_of("bootstrap", group), n)
            self._end_with_the_agent(work, living, alive(following, mask, n), bootstrap, signals)
        return work

    @staticmethod
    def _end_with_the_agent(
        work: TensorDictBase,
        living: Tensor,
        following: Tensor | None,
        bootstrap: Tensor | None,
        signals: Mapping[str, NestedKey],
    ) -> None:
        """Let the returns of an agent end where it dies, whatever the team is paid afterwards.

        Args:
            living, following: who lives in the state and in the next one, `[*B, T, N, 1]`.
            bootstrap: whose future counts although they are not in the next state, likewise.
            signals: keys of `work`; their entries have the same shape.
        """
        work[signals["reward"]] = earned(work[signals["reward"]], living)
        if following is not None:
            died = living & ~following
            ended = died if bootstrap is None else died & ~bootstrap
            work[signals["done"]] = work[signals["done"]] | died
            work[signals["terminated"]] = work[signals["terminated"]] | ended
