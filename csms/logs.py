"""Log lines for people (console) or for machines (JSON); everything that logs goes through here."""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal

import structlog

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
