from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from replay_builders import NOON, Replay, Replayed, write_series, write_sessions

from csms.domain.site import SiteConfig
from simulation.replay import ReplayOptions, run


@pytest.fixture
def replayed(tmp_path: Path) -> Replay:
    """replayed(site, pv_w=…, load_w=…, sessions=[…], …) writes the files and runs the replay."""

    def go(
        site: SiteConfig,
        pv_w: Iterable[float],
        load_w: float | Sequence[float] = 200,
        sessions: Sequence[tuple[str, int, int, float, float, int]] = (),
        series_start: datetime = NOON,
        step_s: float = 60,
        **changes: Any,
    ) -> Replayed:
        options = ReplayOptions(
            site=site,
            series=write_series(tmp_path / "series.csv", pv_w, load_w, start=series_start, step_s=step_s),
            sessions=write_sessions(tmp_path / "sessions.csv", *sessions) if sessions else None,
            out=tmp_path / "out",
        )
        return Replayed(run(replace(options, **changes)))

    return go
