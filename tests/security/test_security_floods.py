"""Guessing passwords is stopped; the station itself and its neighbours behind the same address are not."""

from pathlib import Path

from secure_system import KEY, secure_system


async def test_who_guesses_passwords_is_stopped_and_the_neighbours_are_not(tmp_path: Path) -> None:
    async with secure_system(tmp_path, ("CP1", "CP2")) as system:
        for identity in ("CP1", "CP2"):
            await system.store(KEY, profile=1, identity=identity)
        guesses = [
            await system.status_of(system.station(f"guess-{number:010}", identity="CP1"))
            for number in range(8)
        ]
        assert guesses == [401] * 5 + [429] * 3
        assert await system.status_of(system.station(KEY, identity="CP1")) == 429  # nobody looks at it now
        assert await system.status_of(system.station(KEY, identity="CP2")) == 101


async def test_stations_come_in_though_strangers_flood_from_their_address(tmp_path: Path) -> None:
    """Also after a restart, when nobody has been in yet; who tries a wrong password has to wait."""
    async with secure_system(tmp_path, ("CP1", "CP2")) as system:
        for identity in ("CP1", "CP2"):
            await system.store(KEY, profile=1, identity=identity)
        strangers = [
            await system.status_of(system.station(identity=f"stranger-{number}")) for number in range(21)
        ]
        assert strangers == [404] * 20 + [429]
        assert await system.status_of(system.station(KEY, identity="CP1")) == 101
        assert await system.status_of(system.station("a guess of mine", identity="CP2")) == 401
        assert await system.status_of(system.station(KEY, identity="CP2")) == 429
        assert await system.status_of(system.station(KEY, identity="CP1")) == 101
