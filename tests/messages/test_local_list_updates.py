"""Whatever the lists, what is sent makes the one into the other, in messages that the station can take."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from csms.domain.local_list import Entries, ListUpdate, applied, differential_update, full_updates

infos = st.fixed_dictionaries({"status": st.sampled_from(["Accepted", "Blocked"])})
lists = st.dictionaries(st.sampled_from([f"TAG{n}" for n in range(12)]), infos)
lengths = st.none() | st.integers(1, 5)


def told(held: Entries, updates: list[ListUpdate]) -> Entries:
    for update in updates:
        held = applied(held, update.request())
    return held


@given(lists, lists, st.integers(-1, 50), lengths)
def test_whole_lists_take_the_place_of_any_other(
    held: Entries, wanted: Entries, last: int, most: int | None
) -> None:
    updates = full_updates(wanted, last, most)
    assert told(held, updates) == wanted
    assert [update.type for update in updates] == ["Full", *["Differential"] * (len(updates) - 1)]
    assert [update.version for update in updates] == [max(last, 0) + n + 1 for n in range(len(updates))]
    assert all(len(update.entries) <= (most or 12) for update in updates)
    assert all("idTagInfo" in entry for update in updates for entry in update.entries)


@given(lists, lists, st.integers(1, 50), lengths)
def test_a_difference_is_exact_or_does_not_fit(
    held: Entries, wanted: Entries, last: int, most: int | None
) -> None:
    update = differential_update(held, wanted, last, most)
    if update is None:
        assert most is not None
        return
    assert told(held, [update]) == wanted
    assert update.version == last + 1
    assert len(update.entries) <= (most or 24)


def test_letter_case_makes_no_other_badge() -> None:
    held: dict[str, Any] = {"abc": {"status": "Accepted"}}
    update = differential_update(held, {"ABC": {"status": "Blocked"}}, 1, None)
    assert update is not None
    assert update.entries == [{"idTag": "ABC", "idTagInfo": {"status": "Blocked"}}]
    assert told(held, [update]) == {"ABC": {"status": "Blocked"}}
