"""Where a device on the network answers, and how to be let in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from drivers.device import DeviceConfigError

_FOLDER = Path("/run/secrets")
_PREFIX = "DEVICE_"


@dataclass(frozen=True, slots=True)
class Access:
    """password: "env:DEVICE_NAME", or "file:NAME" in /run/secrets. What is None is usual for the driver.

    Other variables and folders are out of reach: who may edit a site must not be able to send the server's
    own secrets somewhere.
    """

    host: str
    port: int | None = None
    user: str | None = None
    password: str | None = None
    tls: bool = False

    def secret(self) -> str | None:
        """The password itself, read when it is needed. Raises DeviceConfigError."""
        return None if self.password is None else read_secret(self.password, os.environ, _FOLDER)


def read_secret(reference: str, environ: Mapping[str, str], folder: Path) -> str:
    """Raises DeviceConfigError: no such variable or file."""
    kind, _, name = reference.partition(":")
    if kind == "env" and name.startswith(_PREFIX):
        if name in environ:
            return environ[name]
        raise DeviceConfigError("password", reference, f"a variable {name} in the server's environment")
    if kind == "file" and name and "/" not in name and name not in (".", ".."):
        try:
            return (folder / name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise DeviceConfigError("password", reference, f"a readable file {folder / name}") from None
    raise DeviceConfigError("password", reference, f'"env:{_PREFIX}…" or "file:…" (in {folder})')
