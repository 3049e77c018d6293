"""Files on disk: firmware images for stations to fetch, and the logs that stations leave.

A file appears under its name only when it is complete.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from csms.errors import InvalidInput, NoSpace, NotFound, TooLarge

MB = 1_000_000
WRITTEN_AT_ONCE = 1_000_000
_NAME = re.compile(r"(?a)[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
_NOT_IN_NAMES = re.compile(r"(?a)[^A-Za-z0-9._+-]+")


@dataclass(frozen=True, slots=True)
class StoredFile:
    name: str
    size_bytes: int
    stored_at: datetime


class Files:
    def __init__(self, folder: Path, limit_bytes: int = 512 * MB, upload_limit_bytes: int = 64 * MB) -> None:
        self._images, self._uploads = folder / "files", folder / "uploads"
        self._limit_bytes, self.upload_limit_bytes = limit_bytes, upload_limit_bytes

    def images(self) -> list[StoredFile]:
        """By name."""
        if not self._images.is_dir():
            return []
        found = [path for path in self._images.iterdir() if _NAME.fullmatch(path.name) and path.is_file()]
        return [_stored(path) for path in sorted(found)]

    def image(self, name: str) -> Path:
        """Raises NotFound."""
        path = self._images / name
        if not _NAME.fullmatch(name) or not path.is_file():
            raise NotFound("file", name)
        return path

    async def save_image(self, name: str, chunks: AsyncIterator[bytes]) -> StoredFile:
        """Add it, or replace the one of that name once all of it is here.

        Raises: InvalidInput (a name that could be misread), TooLarge, NoSpace
        """
        if not _NAME.fullmatch(name):
            expected = "1 to 128 letters, digits and . _ + -, beginning with a letter or digit"
            raise InvalidInput("name", name, expected)
        return await _write(self._images / name, chunks, self._limit_bytes)

    def remove_image(self, name: str) -> None:
        """Raises NotFound."""
        self.image(name).unlink()

    async def leave(
        self, identity: str, job_id: int, sent_name: str, chunks: AsyncIterator[bytes]
    ) -> StoredFile:
        """Keep what a station uploads for a job. sent_name: as the station calls it, whatever that is.

        Raises: TooLarge, NoSpace
        """
        name = _NOT_IN_NAMES.sub("_", sent_name.replace("\\", "/").rpartition("/")[2])[-100:].lstrip(".-")
        path = self._uploads / folder_name(identity) / f"{job_id}-{name or 'upload'}"
        return await _write(path, chunks, self.upload_limit_bytes)

    def left(self, identity: str, name: str) -> Path:
        """Raises NotFound."""
        path = self._uploads / folder_name(identity) / name
        if not _NAME.fullmatch(name) or not path.is_file():
            raise NotFound("file", name)
        return path

    def remove_left_before(self, moment: datetime) -> int:
        """Logs that stations left before, and what a crash cut short. Answers how many."""
        old = [p for p in self._uploads.glob("*/*") if p.is_file() and p.stat().st_mtime < moment.timestamp()]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)


def folder_name(identity: str) -> str:
    """Identities may have any sign in them, also "..": two that differ never share a folder."""
    digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
    return f"{_NOT_IN_NAMES.sub('_', identity)[:60].strip('.')}-{digest}"


def _stored(path: Path) -> StoredFile:
    told = path.stat()
    return StoredFile(path.name, told.st_size, datetime.fromtimestamp(int(told.st_mtime), UTC))


async def _write(path: Path, chunks: AsyncIterator[bytes], limit_bytes: int) -> StoredFile:
    part = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        file = await asyncio.to_thread(_open, part)
        try:
            await _pour(chunks, file, limit_bytes)
            await asyncio.to_thread(_finish, file, path, part)
        finally:
            file.close()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace from None
        raise
    finally:
        part.unlink(missing_ok=True)
    return _stored(path)


def _open(part: Path) -> BinaryIO:
    part.parent.mkdir(parents=True, exist_ok=True)
    return part.open("xb")


async def _pour(chunks: AsyncIterator[bytes], file: BinaryIO, limit_bytes: int) -> None:
    taken_bytes, gathered = 0, bytearray()
    async for chunk in chunks:
        taken_bytes += len(chunk)
        if taken_bytes > limit_bytes:
            raise TooLarge(limit_bytes)
        gathered += chunk
        if len(gathered) >= WRITTEN_AT_ONCE:
            await asyncio.to_thread(file.write, bytes(gathered))
            gathered.clear()
    await asyncio.to_thread(file.write, bytes(gathered))


def _finish(file: BinaryIO, path: Path, part: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    part.replace(path)
