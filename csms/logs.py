"""Log lines for people (console) or for machines (JSON); everything that logs goes through here.

A station that goes wrong a hundred times a second does not fill the disk: of each of its kinds of lines
below an error, LINES_AT_ONCE are written, then one every few seconds, with how many were left out.
"""

from __future__ import annotations

import logging
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from typing import Any, Literal

import structlog

from csms.domain.allowance import Allowance

LINES_AT_ONCE, LINES_REFILL_S = 20, 60.0
KINDS_OF_LINES = 10_000

NOISY = (
    "pymodbus",
    "pymodbus.logging",
    "websockets",
    "ocpp",
    "asyncio",
    "alembic",
    "uvicorn",
    "uvicorn.access",
    "uvicorn.error",
    "watchfiles",
    "httpx",
)


class LineLimits:
    """A structlog processor. clock_s: seconds of a clock that does not jump."""

    def __init__(self, clock_s: Callable[[], float]) -> None:
        self._clock_s = clock_s
        self._allowances: OrderedDict[tuple[str, str], Allowance] = OrderedDict()

    def __call__(self, _logger: Any, method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Raises: structlog.DropEvent"""
        if "charge_point" not in line or method in ("error", "exception", "critical"):
            return line
        key = str(line["charge_point"]), str(line.get("event"))
        allowance = self._allowances.setdefault(key, Allowance(LINES_AT_ONCE, LINES_REFILL_S))
        self._allowances.move_to_end(key)
        if len(self._allowances) > KINDS_OF_LINES:
            self._allowances.popitem(last=False)
        if not allowance.take(self._clock_s()):
            raise structlog.DropEvent
        if allowance.missed:
            line["left_out"], allowance.missed = allowance.missed, 0
        return line


def set_up_logging(level: str, form: Literal["console", "json"]) -> None:
    """Send the lines of structlog and of every library to stderr in one form."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    renderer: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if form == "json"
        else [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                exception_formatter=structlog.dev.plain_traceback,  # others show variables: secrets, too
            )
        ]
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            LineLimits(time.monotonic),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.CRITICAL if name.startswith("pymodbus") else logging.ERROR)
