"""Keys are changed again and again over a bad line: the key that the station holds always lets it in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import count
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csms.errors import CallTimeout
from csms.services.bundle import Services
from csms.services.command_effects import Command
from csms.services.station_passwords import StationPasswords
from csms.services.station_passwords import _KeyChange as KeyChange
from tests.services_on_file import SetClock, running_services

Step = tuple[Literal["Accepted", "Rejected", "RebootRequired"], bool, bool]

# what the station does with a key, whether its answer arrives, whether it comes back before the next key
STEPS = st.lists(
    st.tuples(st.sampled_from(["Accepted", "Rejected", "RebootRequired"]), st.booleans(), st.booleans()),
    min_size=1,
    max_size=4,
)


class TrueStation:
    """used: the key it connects with. next_boot: the one it will use from its next boot on."""

    def __init__(self, key: str) -> None:
        self.used = self.next_boot = key

    def take(self, key: str, how: str) -> None:
        if how == "Accepted":
            self.used = self.next_boot = key
        elif how == "RebootRequired":
            self.next_boot = key

    def boot(self) -> None:
        self.used = self.next_boot


def key_number(n: int) -> str:
    return f"{n:040X}"


def matched(passwords: StationPasswords, identity: str, key: str) -> str | None:
    return passwords.matched(identity, bytes.fromhex(key))


async def live_through(
    steps: list[Step], boots: list[bool], passwords: StationPasswords, identity: str
) -> None:
    await passwords.store(identity, key_number(0))
    station = TrueStation(key_number(0))
    effect = KeyChange(passwords)
    for n, ((how, is_answered, comes_back), boots_now) in enumerate(zip(steps, boots, strict=False), 1):
        key = key_number(n)
        command = Command(identity, "ChangeConfiguration", {"key": "AuthorizationKey", "value": key})
        await effect.before(command)
        station.take(key, how)
        if is_answered:
            await effect.answered(command, {"status": how})
        else:
            await effect.failed(command, CallTimeout(identity, "ChangeConfiguration", 30))
        if comes_back:
            if boots_now:
                station.boot()
            digest = matched(passwords, identity, station.used)
            assert digest is not None, f"locked out after key {n}"
            await passwords.used(identity, digest)
    station.boot()
    assert matched(passwords, identity, station.used) is not None
    assert matched(passwords, identity, key_number(99)) is None


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[list[Step], list[bool]], list[bool]]]:
    """Lives a story through with a new station; which of its keys are good at the end."""
    numbers = count()

    async def story(services: Services, steps: list[Step], boots: list[bool]) -> list[bool]:
        identity = f"CP{next(numbers)}"
        await live_through(steps, boots, services.passwords, identity)
        keys = [key_number(n) for n in range(len(steps) + 1)]
        return [matched(services.passwords, identity, key) is not None for key in keys]

    with asyncio.Runner() as runner:
        opened = running_services(tmp_path_factory.mktemp("keys"), SetClock(), unknown="pending")
        services = runner.run(opened.__aenter__())
        yield lambda steps, boots: runner.run(story(services, steps, boots))
        runner.run(opened.__aexit__(None, None, None))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_whatever_happens_the_station_comes_in(run, data) -> None:
    steps = data.draw(STEPS)
    run(steps, data.draw(st.lists(st.booleans(), min_size=len(steps), max_size=len(steps))))


@pytest.mark.parametrize(
    ("steps", "good"),
    [
        ([("Accepted", True, True)], [False, True]),
        ([("Accepted", True, False)], [False, True]),
        ([("Rejected", True, True)], [True, False]),
        ([("RebootRequired", True, False)], [True, True]),
        ([("Accepted", False, False)], [True, True]),
        ([("Accepted", False, True)], [False, True]),
        ([("Accepted", False, False), ("Accepted", True, False)], [False, False, True]),
        ([("Accepted", False, False), ("Rejected", True, False)], [True, True, False]),
        ([("Accepted", False, False), ("Rejected", True, True)], [False, True, False]),
        ([("Rejected", False, False), ("Rejected", False, True)], [True, True, True]),
    ],
)
def test_which_keys_are_good_after_all(run, steps: list[Step], good: list[bool]) -> None:
    assert run(steps, [False] * len(steps)) == good
