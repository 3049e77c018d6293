"""Limits against floods: of refused connection attempts, of sockets that never finish their handshake.
No I/O; times are seconds of a clock that does not jump.

Whoever is refused (unknown identity, wrong password) costs its address a token. An address that has used
up REFUSALS within a minute is answered 429 for PENALTY_S, twice as long each time it goes on, at most
LONGEST_PENALTY_S. Behind one address there may be a whole garage, or by a proxy all stations there are, which
a wrong one must not lock out, not even when all come back after a restart:
- An identity that was refused REFUSALS_OF_ONE times within a minute is refused alone, before it has used
  up what its address may.
- An identity that has come in from there before still comes in from a limited address; what it does wrong
  counts against itself alone.
- So does a known one that has done nothing wrong there yet. (Who knocks at every door learns from this which
  identities are known. They are no secret: an unknown one is answered 404. What is secret is the key.)
Those who are let in cost nothing. What is remembered is bounded: of addresses and identities that nothing
was heard of for longest, the oldest are forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import TypeVar

from csms.domain.allowance import Allowance

REFUSALS = 20
REFUSALS_OF_ONE = 5
WITHIN_S = 60.0
PENALTY_S = 30.0
LONGEST_PENALTY_S = 300.0
FORGIVEN_AFTER_S = 900.0  # without a refusal: the next penalty is a short one again
REMEMBERED, LONGEST_IDENTITY = 10_000, 255

HANDSHAKES = 256  # unfinished ones of an address
HANDSHAKE_PATIENCE_S = 3.0


Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


@dataclass(slots=True)
class _Culprit:
    """An address, or an identity at an address. limited_until_s: it is refused without a look."""

    allowance: Allowance
    penalty_s: float = PENALTY_S
    limited_until_s: float = 0.0
    refused_at_s: float = 0.0

    def refused(self, now_s: float) -> None:
        if now_s - self.refused_at_s > FORGIVEN_AFTER_S:
            self.penalty_s = PENALTY_S
        self.refused_at_s = now_s
        if not self.allowance.take(now_s) or self.allowance.tokens < 1:
            self.limited_until_s = now_s + self.penalty_s
            self.penalty_s = min(2 * self.penalty_s, LONGEST_PENALTY_S)


class FloodLimits:
    """clock_s: seconds of a clock that does not jump. is_known: is there a station of this identity?

    Identities are compared without regard to case.
    """

    def __init__(
        self,
        clock_s: Callable[[], float],
        is_known: Callable[[str], bool] = lambda identity: False,
        remembered: int = REMEMBERED,
    ) -> None:
        self._clock_s, self._is_known, self._remembered = clock_s, is_known, remembered
        self._addresses: OrderedDict[str, _Culprit] = OrderedDict()
        self._identities: OrderedDict[tuple[str, str], _Culprit] = OrderedDict()
        self._came_in: OrderedDict[tuple[str, str], None] = OrderedDict()

    def allows(self, address: str, identity: str = "") -> bool:
        """May this attempt be looked at? If not, it is answered 429, and costs nothing more."""
        return self.retry_after_s(address, identity) == 0

    def retry_after_s(self, address: str, identity: str = "") -> int:
        """Whole seconds until `allows`; 0 = now."""
        key = _key(address, identity)
        one, all_of_it = self._identities.get(key), self._addresses.get(key[0])
        until_s = one.limited_until_s if one is not None else 0.0
        is_innocent = key in self._came_in or (one is None and self._is_known(identity))
        if all_of_it is not None and not is_innocent:
            until_s = max(until_s, all_of_it.limited_until_s)
        return max(0, ceil(until_s - self._clock_s()))

    def refused(self, address: str, identity: str = "") -> None:
        """An unknown identity, or a known one with the wrong credentials."""
        now_s, key = self._clock_s(), _key(address, identity)
        if identity:
            self._noted(self._identities, key, REFUSALS_OF_ONE).refused(now_s)
        if key not in self._came_in:  # else what it does wrong is not its neighbours' fault
            self._noted(self._addresses, key[0], REFUSALS).refused(now_s)

    def succeeded(self, address: str, identity: str = "") -> None:
        """It was let in."""
        if identity:
            key = _key(address, identity)
            self._identities.pop(key, None)
            self._came_in[key] = None
            _forget(self._came_in, key, 2 * self._remembered)

    def _noted(self, culprits: OrderedDict[Key, _Culprit], key: Key, burst: float) -> _Culprit:
        culprit = culprits.setdefault(key, _Culprit(Allowance(burst, WITHIN_S)))
        _forget(culprits, key, self._remembered)
        return culprit


class Handshakes:
    """Sockets that have not finished their handshake, by address.

    A crowd that comes at once, as after a restart, is let in; an address that holds many sockets open
    without a word loses the oldest of them with each new one.
    """

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._begun: dict[str, dict[Hashable, float]] = {}

    def begin(self, address: str, socket: Hashable) -> Hashable | None:
        """Returns the socket that is to be cut for it, if any."""
        now_s = self._clock_s()
        begun = self._begun.setdefault(address, {})
        begun[socket] = now_s
        if len(begun) <= HANDSHAKES:
            return None
        oldest, begun_at_s = next(iter(begun.items()))
        if now_s - begun_at_s < HANDSHAKE_PATIENCE_S:
            return None
        del begun[oldest]
        return oldest

    def end(self, address: str, socket: Hashable) -> None:
        """It is finished, or over."""
        if (begun := self._begun.get(address)) is not None:
            begun.pop(socket, None)
            if not begun:
                del self._begun[address]


def site_of(address: str) -> str:
    """Who is behind it: an IPv6 network of 64 bits is one, for it is given to one."""
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, IPv6Address):
        return str(ip.ipv4_mapped or IPv6Address(int(ip) >> 64 << 64))
    return str(ip)


def _key(address: str, identity: str) -> tuple[str, str]:
    """No station's name is longer than what is remembered of it."""
    return site_of(address), identity[:LONGEST_IDENTITY].casefold()


def _forget(recent: OrderedDict[Key, Value], key: Key, limit: int) -> None:
    """`key` is the most recent; beyond `limit` the least recent goes."""
    recent.move_to_end(key)
    if len(recent) > limit:
        recent.popitem(last=False)
