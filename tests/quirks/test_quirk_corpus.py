"""What real stations send wrong: each frame of the corpus, said to the whole server over a websocket."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from quirk_stage import Quirk, Stage, assert_like, check_answer, corpus, open_stage, play

CORPUS = corpus()
EFFECTS = ("transactions", "meter_values", "unmatched_stops", "station", "connector")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    async with open_stage(tmp_path_factory.mktemp("quirks")) as running:
        yield running


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("quirk", CORPUS, ids=lambda quirk: f"{quirk.topic}: {quirk.name}")
async def test_a_deviation_is_understood_answered_and_counted(stage: Stage, quirk: Quirk) -> None:
    entry = quirk.entry
    answer, counted = await play(stage, quirk)
    check_answer(quirk, answer)
    effects = await stage.effects(quirk)
    for name in EFFECTS:
        if name in entry:
            assert_like(effects[name], entry[name], name)
    assert dict(counted) == dict.fromkeys(entry.get("quirks", []) + entry.get("later_quirks", []), 1)
    await _check_note(stage, quirk)


async def _check_note(stage: Stage, quirk: Quirk) -> None:
    """The frame log says why a frame was repaired (every kind) or refused, and nothing of sound ones."""
    frame = quirk.entry["frame"].partition("$")[0].replace("\x00", "\ufffd")
    identity = stage.app.charge_points.station(quirk.identity).identity
    messages = await stage.app.frame_log.messages(identity)
    logged = next(m for m in messages if m["direction"] == "in" and m["text"].startswith(frame[:16_000]))
    if "note" in quirk.entry:
        assert quirk.entry["note"] in (logged["note"] or "")
    for kind in quirk.entry.get("quirks", []):
        assert re.split(r"^\w+\.|^\w+ answer, |^frame: ", kind)[-1] in logged["note"], (
            "every kind is in the note"
        )
    if not quirk.entry.get("quirks") and "note" not in quirk.entry:
        assert logged["note"] is None


def test_every_entry_has_a_name_of_its_own_and_a_source() -> None:
    assert len({quirk.identity for quirk in CORPUS}) == len(CORPUS)
    assert all(quirk.entry["source"] for quirk in CORPUS)
    assert len(CORPUS) >= 75
