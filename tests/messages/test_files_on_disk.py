"""Firmware images over the API, and what the disk does not take."""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from operated_station import House

from csms.errors import InvalidInput, NoSpace
from csms.services.files import Files, folder_name

FILES = "/api/v1/files"


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_images_are_stored_replaced_listed_and_removed(house: House) -> None:
    for content in (b"old", b"newer"):
        assert (await house.admin.put(f"{FILES}/fw-1.0_b+3.bin", content=content)).status_code == 201
    (listed,) = (await house.operator.get(FILES)).json()
    assert (listed["name"], listed["size_bytes"]) == ("fw-1.0_b+3.bin", 5)
    assert (await house.operator.get(f"{FILES}/fw-1.0_b+3.bin")).content == b"newer"
    assert (await house.operator.put(f"{FILES}/x", content=b"")).status_code == 403
    assert (await house.nobody.get(f"{FILES}/fw-1.0_b+3.bin")).status_code == 401
    assert (await house.admin.delete(f"{FILES}/fw-1.0_b+3.bin")).status_code == 204
    assert (await house.operator.get(FILES)).json() == []
    assert (await house.admin.delete(f"{FILES}/fw-1.0_b+3.bin")).status_code == 404


async def test_an_image_may_be_larger_than_other_requests_but_not_than_its_limit(house: House) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield bytes(10_000)

    refused = await house.admin.put(f"{FILES}/large.bin", content=chunks())
    assert (refused.status_code, refused.json()["detail"]) == (413, "at most 100000 bytes are taken")
    assert (await house.operator.get(FILES)).json() == []


@pytest.mark.parametrize("name", ["%2e%2e%2fcsms.db", "..%5Ccsms.db", ".hidden", "a%20b", "a%00b", "x" * 129])
async def test_names_that_could_be_misread_are_refused(house: House, name: str) -> None:
    assert (await house.admin.put(f"{FILES}/{name}", content=b"x")).status_code in (404, 405, 422)
    assert (await house.operator.get(f"{FILES}/{name}")).status_code == 404
    assert (await house.operator.get(FILES)).json() == []


async def test_a_full_disk_is_told_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async def half_of_it() -> AsyncIterator[bytes]:
        yield bytes(2_000_000)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(NoSpace, match="the disk is full"):
        await Files(tmp_path).save_image("fw.bin", half_of_it())
    assert names_in(tmp_path / "files") == []


async def test_an_image_that_breaks_off_leaves_the_old_one(tmp_path: Path) -> None:
    async def whole() -> AsyncIterator[bytes]:
        yield b"old"

    async def broken() -> AsyncIterator[bytes]:
        yield b"ne"
        raise ConnectionResetError

    files = Files(tmp_path)
    await files.save_image("fw.bin", whole())
    with pytest.raises(ConnectionResetError):
        await files.save_image("fw.bin", broken())
    assert files.image("fw.bin").read_bytes() == b"old"
    assert names_in(tmp_path / "files") == ["fw.bin"]


async def test_no_name_is_no_name(tmp_path: Path) -> None:
    async def nothing() -> AsyncIterator[bytes]:
        yield b""

    with pytest.raises(InvalidInput, match="name"):
        await Files(tmp_path).save_image("", nothing())


def test_stations_share_no_folder_whatever_they_are_called() -> None:
    names = ["..", ".", "a/b", "a_b", "CP1", "cp1", "x" * 255, "x" * 254, "ß", "§"]
    folders = [folder_name(name) for name in names]
    assert len(set(folders)) == len(names)
    assert all("/" not in folder and not folder.startswith(".") and len(folder) < 100 for folder in folders)
