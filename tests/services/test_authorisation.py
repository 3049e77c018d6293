"""Who may charge where, how many at once, and what is recorded of those who may not."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from central_backend import NOON, Backend, later, open_backend, start, stop

from csms.domain.id_tag import IdTag, UnknownTags
from csms.domain.id_tag_table import read_table, write_table
from csms.errors import InvalidInput
from csms.services.accounts import Accounts


async def asked(backend: Backend, tag: str, identity: str = "CP1") -> str:
    answer = await backend.say("Authorize", {"idTag": tag}, identity=identity)
    return str(answer["idTagInfo"]["status"])


async def test_a_badge_charges_only_where_it_may(backend: Backend) -> None:
    await backend.add_tag("Anna", charge_points=("cp1",))
    assert await asked(backend, "ANNA") == "Accepted"
    assert await asked(backend, "anna", "CP2") == "Invalid"
    elsewhere = await backend.say("StartTransaction", start(tag="anna"), identity="CP2")
    assert elsewhere["idTagInfo"]["status"] == "Invalid"
    await backend.say("StopTransaction", stop(elsewhere["transactionId"], meter_wh=1300), identity="CP2")
    (row,) = await backend.transactions()
    assert (row["start_status"], row["energy_wh"]) == ("Invalid", 300)


@pytest.mark.parametrize(
    ("stored", "sent"),
    [
        ("AB12CD34EF56GH78JK90", "AB12CD34EF56GH78JK90\x07Ã"),  # garbage behind the longest tag there may be
        ("04A2B91C", "04A2B91C_17619300"),  # with the serial number of a station behind the station
        ("04A2B91C", "  04a2b91c"),
    ],
)
async def test_a_badge_is_known_without_what_stations_add_to_it(
    backend: Backend, stored: str, sent: str
) -> None:
    await backend.add_tag(stored)
    assert await asked(backend, sent) == "Accepted"


async def test_a_badge_that_is_stored_as_it_is_sent_is_that_one(backend: Backend) -> None:
    await backend.add_tag("04A2B91C")
    await backend.add_tag("04A2B91C_17619300", blocked=True)
    assert await asked(backend, "04A2B91C_17619300") == "Blocked"


@pytest.mark.parametrize("sent", ["04A2B91C_7", "04A2B91C17619300", "04A2B91", "A2_17619300"])
async def test_a_badge_that_only_looks_alike_is_another(backend: Backend, sent: str) -> None:
    await backend.add_tag("04A2B91C")
    await backend.add_tag("A2")
    assert await asked(backend, sent) == "Invalid"


async def test_a_blocked_family_takes_its_members_along(backend: Backend) -> None:
    await backend.add_tag("ANNA", parent_id_tag="family")
    assert await asked(backend, "ANNA") == "Accepted"  # the family itself need not be stored
    await backend.add_tag("FAMILY", blocked=True)
    assert await asked(backend, "anna") == "Blocked"
    await backend.add_tag("FAMILY", expires_at=NOON - timedelta(days=1))
    started = await backend.say("StartTransaction", start(tag="anna"))
    assert started["idTagInfo"] == {
        "status": "Expired",
        "parentIdTag": "family",
        "expiryDate": "2026-05-31T12:00:00Z",
    }


@pytest.mark.parametrize(
    ("policy", "none_stored", "one_stored"),
    [
        (None, "Accepted", "Invalid"),
        ("accept", "Accepted", "Accepted"),
        ("reject", "Invalid", "Invalid"),
    ],
)
async def test_unknown_badges_are_a_matter_of_policy(
    url: str, policy: UnknownTags | None, none_stored: str, one_stored: str
) -> None:
    backend = await open_backend(url, policy)
    assert await asked(backend, "stranger") == none_stored
    await backend.add_tag("ANNA")
    assert await asked(backend, "stranger") == one_stored
    await backend.stop()


@pytest.mark.parametrize(
    ("tag", "told"),
    [
        ({"blocked": True}, "Blocked"),
        ({"expires_at": NOON - timedelta(days=1)}, "Expired"),
        ({"charge_points": ("CP2",)}, "Invalid"),
        ({"max_transactions": 0}, "Blocked"),
        (None, "Invalid"),
    ],
)
async def test_an_offline_start_with_a_bad_badge_is_recorded_and_told(
    backend: Backend, tag: dict[str, Any] | None, told: str
) -> None:
    await backend.add_tag("OTHER")
    if tag is not None:
        await backend.add_tag("BADGE1", **tag)
    begun = await backend.say("StartTransaction", start(), later(hours=5))
    assert begun["idTagInfo"]["status"] == told
    await backend.say("StopTransaction", stop(begun["transactionId"]), later(hours=5))
    (row,) = await backend.transactions()
    assert (row["start_status"], row["energy_wh"]) == (told, 7000)


async def test_an_old_start_out_of_the_queue_is_not_concurrent_with_what_runs_now(backend: Backend) -> None:
    await backend.add_tag("BADGE1", max_transactions=1)
    await backend.say("StartTransaction", start(later(hours=5)), later(hours=5))
    old = await backend.say("StartTransaction", start(connector_id=2), later(hours=5))
    assert old["idTagInfo"]["status"] == "Accepted"


@pytest.mark.parametrize("restarts", [False, True])
async def test_what_a_badges_vehicle_needs_is_known_while_it_charges(
    backend: Backend, restarts: bool
) -> None:
    await backend.add_tag("ZOE", min_a=10)
    await backend.say("StartTransaction", start(tag="zoe "))
    await backend.say("StartTransaction", start(tag="OTHER", connector_id=2))
    if restarts:
        await backend.restart()
    zoe, other = backend.live(1).transaction, backend.live(2).transaction
    assert zoe is not None
    assert other is not None
    assert (zoe.min_a, other.min_a) == (10, None)


# --- as a table ---

TAGS = [
    (IdTag("=1+1", "FAMILY", True, NOON, 2, ("CP 1", "CP2"), 10.0), "Anna, the first"),
    (IdTag("04AB", charge_points=()), None),
    (IdTag("04CD"), "-"),
]


async def test_a_table_of_badges_comes_back_as_it_went(backend: Backend, tmp_path: Path) -> None:
    accounts = Accounts(backend.database, backend.clock)
    for tag, name in TAGS:
        await accounts.save_id_tag(tag, name)
    table = write_table(await accounts.id_tags())
    assert "'=1+1" in table
    assert sorted(read_table(table), key=str) == sorted(TAGS, key=str)
    assert await accounts.import_id_tags(table) == 3
    assert write_table(await accounts.id_tags()) == table


def test_a_table_from_a_spreadsheet_is_read_with_semicolons_and_missing_columns() -> None:
    assert read_table("\ufeffname;ID_TAG;blocked\r\nAnna;04AB;no\r\n\r\nBerta;04CD\r\n") == [
        (IdTag("04AB"), "Anna"),
        (IdTag("04CD"), "Berta"),
    ]


@pytest.mark.parametrize(
    ("table", "place"),
    [
        ("", "line 1"),
        ("name\nAnna\n", "line 1"),
        ("id_tag,colour\n04AB,red\n", "line 1"),
        ("id_tag\n04AB\n\n" + "x" * 21 + "\n", "line 4, id_tag"),
        ("id_tag\n04AB\n04ab\n", "line 3, id_tag"),
        ("id_tag\n04AB,red\n", "line 2"),
        ("id_tag,blocked\n04AB,perhaps\n", "line 2, blocked"),
        ("id_tag,expires_at\n04AB,soon\n", "line 2, expires_at"),
        ("id_tag,max_transactions\n04AB,-1\n", "line 2, max_transactions"),
        ("id_tag,min_a\n04AB,nan\n", "line 2, min_a"),
        ("id_tag,parent_id_tag\n04AB," + "x" * 21 + "\n", "line 2, parent_id_tag"),
        ("id_tag,name\n04AB," + "x" * 201 + "\n", "line 2, name"),
    ],
)
async def test_a_fault_in_the_table_is_named_and_nothing_is_taken(
    backend: Backend, table: str, place: str
) -> None:
    accounts = Accounts(backend.database, backend.clock)
    with pytest.raises(InvalidInput) as refused:
        await accounts.import_id_tags(table)
    assert refused.value.field == place
    assert await accounts.id_tags() == []
