"""A real MQTT broker for a test; skipped with a reason where Mosquitto is not installed."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest


class Mosquitto:
    """user and password: None = anybody may connect. certificate: with its key, for TLS."""

    def __init__(
        self, folder: Path, user: str | None = None, password: str = "", certificate: Path | None = None
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._config = folder / f"mosquitto-{self.port}.conf"
        lines = [f"listener {self.port} 127.0.0.1", f"allow_anonymous {'false' if user else 'true'}"]
        if user:
            passwords = folder / "passwords"
            passwords.touch(mode=0o600)
            subprocess.run(
                [_program("mosquitto_passwd"), "-b", passwords, user, password],
                check=True,
                capture_output=True,
            )
            lines.append(f"password_file {passwords}")
        if certificate is not None:
            lines += [f"certfile {certificate}", f"keyfile {certificate}"]
        if os.geteuid() == 0:
            lines.append("user root")
        self._config.write_text("\n".join(lines) + "\n")
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            _program("mosquitto"), "-c", str(self._config),
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                except OSError:
                    await asyncio.sleep(0.02)
                else:
                    writer.close()
                    return

    async def stop(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
            await self._process.wait()
        self._process = None


def _program(name: str) -> str:
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        missing = f"{name} is not installed (Debian package mosquitto)"
        if os.environ.get("HELIANTHUS_REQUIRE_ALL"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found
