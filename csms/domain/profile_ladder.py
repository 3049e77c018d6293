"""The ways to write a limit to a station, the likeliest first, and what was learnt of them. Pure.

Stations refuse charging profiles for their purpose, stack level, kind or unit, and some accept what they
then do not follow. A rung is one way; whoever writes limits begins with the first and goes on to the next
when one fails. The first is what nearly every station takes, and each further one deviates from it by as
little as possible: by a kind, a stack level, a unit, a purpose.

Source: OCPP 1.6 ed. 2, 3.13; reports about stations: docs/limits-on-stations.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from csms.domain.charging_profile import ProfileAbilities, RateUnit
from csms.domain.station_vendors import LimitHints

Purpose = Literal["TxProfile", "TxDefaultProfile", "ChargePointMaxProfile"]
Kind = Literal["Absolute", "Relative"]
Failure = Literal["refused", "ignored", "withheld", "floored"]
"""ignored: accepted, and more was taken than allowed. withheld: accepted, and nothing was offered. floored:
accepted, and no more was offered than the floor allows that lies beneath."""

Counts = Literal["wired", "used", "three"]

HIGHEST_LEVEL = 100  # a station that announces more than that means "any"
RETRY_AFTER = (timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1), timedelta(hours=6))
ALL_ANEW_AFTER = timedelta(days=1)
UNKNOWN_PURPOSE = ("NotSupported", "NotImplemented")  # CALLERRORs that speak of more than one form


@dataclass(frozen=True, slots=True)
class Rung:
    """on_station: written to connector 0, for all connectors at once.

    counts: W only, over how many phases the station spreads them: over those it is wired to, over those that
    the vehicle uses (it takes them as a total), or over three whatever it is told.
    """

    purpose: Purpose = "TxProfile"
    on_station: bool = False
    stack_level: int = 0
    kind: Kind = "Absolute"
    unit: RateUnit = "A"
    counts: Counts = "wired"

    @property
    def key(self) -> str:
        """As it is stored and shown: "TxProfile on the connector, level 0, Absolute, A"."""
        place = "station" if self.on_station else "connector"
        unit = f"{self.unit}{_IN_WORDS[self.counts]}"
        return f"{self.purpose} on the {place}, level {self.stack_level}, {self.kind}, {unit}"

    def spread_over(self, wired: int, used: int | None) -> int:
        """The number of phases its watts are for."""
        return {"wired": wired, "used": used or wired, "three": 3}[self.counts]

    @property
    def needs_transaction(self) -> bool:
        return self.purpose == "TxProfile"

    def at_level(self, stack_level: int) -> Rung:
        return replace(self, stack_level=stack_level)

    @property
    def has_floor_beneath(self) -> bool:
        """Can a floor of its own lie under it? On the same slot, or where the floor would rule instead, it
        cannot: then the second period of the schedule is the floor."""
        same_slot = self.purpose == "TxDefaultProfile" and self.stack_level == 0
        return not (self.on_station or same_slot)


FIRST = Rung()
# (purpose, on connector 0, how many steps from the first rung it is)
_PLACES: tuple[tuple[Purpose, bool, int], ...] = (
    ("TxProfile", False, 0),
    ("TxDefaultProfile", False, 3),
    ("TxDefaultProfile", True, 5),
    ("ChargePointMaxProfile", True, 6),
)
MOST_DEVIATIONS = 2  # of kind, level and unit at once
_IN_WORDS: dict[Counts, str] = {"wired": "", "used": " in total", "three": " for three phases"}


def rungs(abilities: ProfileAbilities, hints: LimitHints) -> tuple[Rung, ...]:
    """All ways worth trying with this station, the likeliest first. Never empty.

    Where it says which units it takes, no other is tried; where it takes current, watts come last.
    """
    found: list[tuple[int, int, Rung]] = []
    for purpose, on_station, steps in _PLACES:
        if purpose in hints.refuses:
            continue
        for k, kind in enumerate(_kinds(purpose, hints)):
            for n, level in enumerate(_levels(purpose, abilities, hints)):
                for u, (unit, counts) in enumerate(_units(abilities)):
                    rung = Rung(purpose, on_station, level, kind, unit, counts)
                    if sum((k > 0, n > 0, u > 0)) <= MOST_DEVIATIONS:
                        found.append((steps + k + 2 * n + 2 * u, len(found), rung))
    return tuple(rung for *_, rung in sorted(found, key=lambda entry: entry[:2]))


def without_transaction(found: Iterable[Rung]) -> tuple[Rung, ...]:
    """Those that may limit a vehicle that charges without one. By the standard only the cap does, so it is
    first; some stations let a default count, too."""
    usable = [rung for rung in found if not rung.needs_transaction]
    return tuple(sorted(usable, key=lambda rung: rung.purpose != "ChargePointMaxProfile"))


def _kinds(purpose: Purpose, hints: LimitHints) -> tuple[Kind, ...]:
    """A cap of the whole station begins with no transaction, so that it cannot be relative to one."""
    return ("Absolute",) if purpose == "ChargePointMaxProfile" else hints.kinds


def _levels(purpose: Purpose, abilities: ProfileAbilities, hints: LimitHints) -> tuple[int, ...]:
    """0 is taken by every station we know of. A default above it leaves the floor in its place."""
    highest = min(abilities.max_stack_level or 0, HIGHEST_LEVEL)
    if hints.only_level_0 or highest == 0:
        return (0,)
    return (highest, 0) if purpose == "TxDefaultProfile" else (0, highest)


def _units(abilities: ProfileAbilities) -> list[tuple[RateUnit, Counts]]:
    amps: list[tuple[RateUnit, Counts]] = [("A", "wired")]
    watts: list[tuple[RateUnit, Counts]] = [("W", "wired"), ("W", "used"), ("W", "three")]
    if abilities.only_unit is not None:
        return amps if abilities.only_unit == "A" else watts
    return amps + watts


@dataclass(frozen=True, slots=True)
class LearntLimits:
    """What was learnt of a station. rung: the last that worked, by its key.

    proven: it was seen to follow by it. failed: key -> how. from_the_top: what was refused may be taken
    now, so that the order is that of `rungs` again. rounds: how often all have failed since one worked.
    of_model: (vendor, model, firmware) all of this was learnt with. charges_freely: without transactions.
    never_pauses: it takes a limit of 0 for its least current.
    """

    rung: str | None = None
    proven: bool = False
    failed: Mapping[str, Failure] = field(default_factory=dict)
    from_the_top: bool = False
    rounds: int = 0
    retry_at: datetime | None = None
    anew_at: datetime | None = None
    of_model: tuple[str, ...] = ()
    charges_freely: bool = False
    never_pauses: bool = False

    def next_rung(self, candidates: Iterable[Rung], of_same_model: str | None, now: datetime) -> Rung | None:
        """The way to write a limit now; None: all have failed, and it is too early to try again."""
        if self.retry_at is not None and now < self.retry_at:
            return None
        by_key = {rung.key: rung for rung in candidates}
        known = [] if self.from_the_top else [self.rung, of_same_model]
        may_be_more = "withheld" in self.failed.values()
        likely = [key for key, rung in by_key.items() if may_be_more or rung.counts != "three"]
        order = [key for key in (*known, *likely) if key in by_key]
        at_least = (key for key in order if self.failed.get(key) == "floored")
        best = next((key for key in order if key not in self.failed), next(at_least, None))
        return None if best is None else by_key[best]

    def floored(self, candidates: Iterable[Rung], rung: Rung) -> list[Rung]:
        """What has failed if the floor beneath this rung rules instead of it: all that have one. None, if no
        way is left without."""
        able = [one for one in candidates if one.key not in self.failed and one.counts == rung.counts]
        if not rung.has_floor_beneath or all(one.has_floor_beneath for one in able):
            return []
        return [one for one in able if one.has_floor_beneath]

    def counted_less(self, candidates: Iterable[Rung], rung: Rung) -> list[Rung]:
        """What has failed with this rung if nothing was offered: all that count the watts like it. None, if
        no way is left that counts them for more phases: then the station has its reasons."""
        more = {"wired": ("used", "three"), "used": ("three",), "three": ()}[rung.counts]
        of_watts = [one for one in candidates if one.unit == "W"]
        if rung.unit != "W" or not any(o.counts in more and o.key not in self.failed for o in of_watts):
            return []
        return [one for one in of_watts if one.counts == rung.counts]

    def works(self, rung: Rung, of_model: tuple[str, ...], *, proven: bool) -> LearntLimits:
        """It was accepted, or seen to be followed (proven)."""
        still_proven = proven or (self.proven and self.rung == rung.key)
        return replace(
            self,
            rung=rung.key,
            proven=still_proven,
            from_the_top=False,
            rounds=0 if still_proven else self.rounds,
            retry_at=None,
            of_model=of_model,
        )

    def fails(self, failed: Iterable[Rung], how: Failure) -> LearntLimits:
        failed = list(failed)
        keys: dict[str, Failure] = {rung.key: how for rung in failed}
        is_lost = self.rung in keys
        before = self.failed
        if how == "ignored" and any(rung.counts == "three" for rung in failed):
            before = {key: how for key, how in before.items() if how != "withheld"}  # it was not the watts
        return replace(
            self,
            failed={**before, **keys},
            rung=None if is_lost else self.rung,
            proven=self.proven and not is_lost,
        )

    def all_failed(self, now: datetime) -> LearntLimits:
        """Wait, the longer the more often; then begin anew, but for what was accepted and not applied.

        If nothing is left then, begin with everything.
        """
        wait = RETRY_AFTER[min(self.rounds, len(RETRY_AFTER) - 1)]
        failed = {} if self.rounds + 1 >= len(RETRY_AFTER) else _not_applied(self.failed)
        if len(failed) == len(self.failed):
            wait, failed = RETRY_AFTER[-1], {}
        return replace(
            self, rung=None, proven=False, failed=failed, rounds=self.rounds + 1, retry_at=now + wait
        )

    def booted(self, of_model: tuple[str, ...], now: datetime) -> LearntLimits:
        """Other firmware: all may be different. The same: a person may have changed a setting, so what was
        refused is tried again, once a day; the rest is not, for that takes a minute or more each."""
        if self.of_model and self.of_model != of_model:
            return LearntLimits(of_model=of_model)
        is_recent = self.anew_at is not None and timedelta(0) <= now - self.anew_at < ALL_ANEW_AFTER
        has_failed = bool(self.failed) or self.retry_at is not None
        if is_recent or not has_failed:
            return replace(self, of_model=of_model)
        failed = {} if self.retry_at is not None else _not_applied(self.failed)
        return replace(
            self, failed=failed, from_the_top=True, rounds=0, retry_at=None, anew_at=now, of_model=of_model
        )


def _not_applied(failed: Mapping[str, Failure]) -> dict[str, Failure]:
    return {key: how for key, how in failed.items() if how != "refused"}


def learnt_to_dict(learnt: LearntLimits) -> dict[str, Any]:
    times = {"retry_at": learnt.retry_at, "anew_at": learnt.anew_at}
    return {
        "rung": learnt.rung,
        "proven": learnt.proven,
        "failed": dict(learnt.failed),
        "from_the_top": learnt.from_the_top,
        "rounds": learnt.rounds,
        **{name: at.isoformat() if at else None for name, at in times.items()},
        "of_model": list(learnt.of_model),
        "charges_freely": learnt.charges_freely,
        "never_pauses": learnt.never_pauses,
    }


def learnt_from_dict(stored: Mapping[str, Any]) -> LearntLimits:
    """Raises KeyError, TypeError, ValueError: not what `learnt_to_dict` makes."""
    times = {
        name: datetime.fromisoformat(stored[name]) if stored[name] else None
        for name in ("retry_at", "anew_at")
    }
    failed = {str(key): how for key, how in stored["failed"].items() if how in get_args(Failure)}
    return LearntLimits(
        rung=stored["rung"],
        proven=bool(stored["proven"]),
        failed=failed,
        from_the_top=bool(stored["from_the_top"]),
        rounds=int(stored["rounds"]),
        of_model=tuple(str(part) for part in stored["of_model"]),
        charges_freely=bool(stored.get("charges_freely", False)),
        never_pauses=bool(stored.get("never_pauses", False)),
        **times,
    )
