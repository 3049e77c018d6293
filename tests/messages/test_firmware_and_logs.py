"""Firmware and logs: asked for, fetched, left, followed to their end."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from operated_station import CP1, NO_ANSWER, CallError, House, Station
from sqlalchemy import select

from csms.storage.tables import file_addresses
from tests.services_on_file import NOON

JOBS = f"{CP1}/jobs"
IMAGE = bytes(range(256)) * 20
UPLOAD_LIMIT = 10_000


async def update(house: House, station: Station, **more: Any) -> tuple[dict[str, Any], str]:
    """The job, and the path of the address that the station was given."""
    await house.admin.put("/api/v1/files/fw-2.bin", content=IMAGE)
    made = await house.operator.post(f"{JOBS}/firmware", json={"file": "fw-2.bin", **more})
    assert made.status_code == 201, made.text
    (request,) = station.asked("UpdateFirmware") or station.asked("SignedUpdateFirmware")
    location = request.get("location") or request["firmware"]["location"]
    return made.json(), urlsplit(location).path


async def diagnostics(house: House, station: Station) -> tuple[dict[str, Any], str]:
    made = await house.operator.post(f"{JOBS}/diagnostics", json={})
    assert made.status_code == 201, made.text
    return made.json(), urlsplit(station.asked("GetDiagnostics")[-1]["location"]).path


async def stored_addresses(house: House) -> list[Any]:
    async with house.services.database.read() as conn:
        return list(await conn.execute(select(file_addresses)))


async def status(house: House, job: dict[str, Any]) -> tuple[str, bool]:
    now = (await house.operator.get(f"{JOBS}/{job['id']}")).json()
    return now["status"], now["ended_at"] is not None


async def test_a_station_fetches_its_firmware_and_tells_how_it_goes(house: House, station: Station) -> None:
    station.will_answer("UpdateFirmware", {})
    job, address = await update(house, station, retries=2, retry_interval_s=60)
    assert station.asked("UpdateFirmware")[0] | {"location": ""} == {
        "location": "",
        "retrieveDate": "2026-06-01T12:00:00Z",
        "retries": 2,
        "retryInterval": 60,
    }
    assert job["request"]["location"].endswith("/station-files/…/fw-2.bin")
    await station.say("FirmwareStatusNotification", {"status": "Downloading"})
    first = await house.nobody.get(address, headers={"Range": "bytes=0-999"})
    rest = await house.nobody.get(address, headers={"Range": "bytes=1000-"})
    assert (first.status_code, first.content + rest.content) == (206, IMAGE)
    for told in ("Downloaded", "Downloaded", "Installing", "Idle", "Installed"):
        await station.say("FirmwareStatusNotification", {"status": told})
    done = (await house.operator.get(f"{JOBS}/{job['id']}")).json()
    assert [entry["status"] for entry in done["history"]] == [
        "Asked",
        "Accepted",
        "Downloading",
        "Downloaded",
        "Installing",
        "Installed",
    ]
    assert await status(house, job) == ("Installed", True)
    assert (await house.nobody.get(address)).status_code == 404


async def test_a_download_that_is_tried_again_goes_on(house: House, station: Station) -> None:
    station.will_answer("UpdateFirmware", {})
    job, address = await update(house, station)
    await station.say("FirmwareStatusNotification", {"status": "DownloadFailed"})
    assert await status(house, job) == ("DownloadFailed", True)
    await station.say("FirmwareStatusNotification", {"status": "Downloading"})
    assert (await house.nobody.get(address)).content == IMAGE
    assert await status(house, job) == ("Downloading", False)


async def test_signed_firmware_is_followed_by_its_request(house: House, station: Station) -> None:
    station.will_answer("SignedUpdateFirmware", {"status": "Accepted"})
    signed = {"signature": "c2ln", "signing_certificate": "PEM", "install_at": "2026-06-01T22:00:00+02:00"}
    job, _ = await update(house, station, **signed)
    (request,) = station.asked("SignedUpdateFirmware")
    assert request["requestId"] == job["id"]
    assert request["firmware"]["installDateTime"] == "2026-06-01T20:00:00Z"
    said = {"requestId": job["id"], "status": "InvalidSignature"}
    assert await station.say("SignedFirmwareStatusNotification", said) == {}
    assert await status(house, job) == ("InvalidSignature", True)


async def test_a_status_names_the_job_it_is_of(house: House, station: Station) -> None:
    station.will_answer("GetLog", {"status": "Accepted", "filename": "a.log"})
    first, second = [(await house.operator.post(f"{JOBS}/log", json={})).json() for _ in range(2)]
    for _ in range(2):  # repeated, it does not become one of the other job
        said = {"requestId": first["id"], "status": "Uploaded"}
        await station.say("LogStatusNotification", said)
    assert await status(house, first) == ("Uploaded", True)
    assert await status(house, second) == ("Accepted", False)


async def test_a_log_that_gives_way_to_another_is_canceled(house: House, station: Station) -> None:
    station.will_answer("GetLog", {"status": "Accepted"}, {"status": "AcceptedCanceled"})
    security = {"log_type": "SecurityLog", "oldest_at": "2026-05-01T00:00:00Z"}
    first, second = [(await house.operator.post(f"{JOBS}/log", json=security)).json() for _ in range(2)]
    assert station.asked("GetLog")[1]["logType"] == "SecurityLog"
    assert station.asked("GetLog")[1]["log"]["oldestTimestamp"] == "2026-05-01T00:00:00Z"
    assert await status(house, first) == ("Canceled", True)
    assert await status(house, second) == ("Accepted", False)


@pytest.mark.parametrize("name", ["diag 1.zip", "..%2F..%2Fetc%2Fpasswd", "", "däta/x.log"])
async def test_diagnostics_are_left_once_under_whatever_name(
    house: House, station: Station, name: str
) -> None:
    station.will_answer("GetDiagnostics", {"fileName": "diag.zip"})
    job, address = await diagnostics(house, station)
    left = await house.nobody.put(address + name, content=b"all of it")
    assert left.status_code == 201
    await station.say("DiagnosticsStatusNotification", {"status": "Uploaded"})
    file = await house.operator.get(f"{JOBS}/{job['id']}/file")
    assert file.content == b"all of it"
    assert await status(house, job) == ("Uploaded", True)
    assert (await house.nobody.put(address + name, content=b"more")).status_code == 404


async def test_diagnostics_may_come_in_a_form(house: House, station: Station) -> None:
    station.will_answer("GetDiagnostics", {})
    job, address = await diagnostics(house, station)
    assert await status(house, job) == ("NothingToUpload", True)
    form = await house.nobody.post(address, files={"file": ("d.log", b"lines")}, data={"id": "CP1"})
    assert form.status_code == 201
    assert (await house.operator.get(f"{JOBS}/{job['id']}/file")).content == b"lines"
    assert await status(house, job) == ("FileReceived", True)


async def test_a_form_without_a_file_is_told_so(house: House, station: Station) -> None:
    station.will_answer("GetDiagnostics", {"fileName": "d"})
    _, address = await diagnostics(house, station)
    empty = await house.nobody.post(
        address, content=b"--x--\r\n", headers={"Content-Type": "multipart/form-data; boundary=x"}
    )
    assert empty.status_code == 422
    assert (await house.nobody.put(address, content=b"x")).status_code == 201


@pytest.mark.parametrize("in_a_form", [False, True])
async def test_what_is_too_large_is_refused_and_may_be_tried_again(
    house: House, station: Station, in_a_form: bool
) -> None:
    station.will_answer("GetDiagnostics", {"fileName": "d"})
    job, address = await diagnostics(house, station)
    large = bytes(20 * UPLOAD_LIMIT)
    if in_a_form:
        refused = await house.nobody.post(address, files={"file": ("d.log", large)})
    else:
        refused = await house.nobody.put(address + "d.log", content=large)
    assert (refused.status_code, refused.json()["detail"]) == (413, "at most 10000 bytes are taken")
    assert (await house.operator.get(f"{JOBS}/{job['id']}/file")).status_code == 404
    assert (await house.nobody.put(address + "d.log", content=b"less")).status_code == 201


async def test_an_upload_that_breaks_off_may_be_done_again(house: House, station: Station) -> None:
    station.will_answer("GetDiagnostics", {"fileName": "d"})
    job, address = await diagnostics(house, station)
    place = house.nobody.base_url
    reader, writer = await asyncio.open_connection(place.host, place.port)
    head = f"PUT {address}d.log HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
    writer.write(head.encode() + b"half of it")
    await writer.drain()
    writer.write_eof()
    await reader.read()
    writer.close()
    assert (await house.operator.get(f"{JOBS}/{job['id']}/file")).status_code == 404
    assert (await house.nobody.put(address + "d.log", content=b"all of it")).status_code == 201
    assert (await house.operator.get(f"{JOBS}/{job['id']}/file")).content == b"all of it"


async def test_the_address_is_the_one_that_stations_can_reach(house: House, station: Station) -> None:
    station.will_answer("GetLog", {"status": "Accepted"})
    public = "https://csms.example/charging/"
    job = await house.services.jobs.get_log("CP1", "SecurityLog", public)
    (request,) = station.asked("GetLog")
    assert request["requestId"] == job["id"]
    location = request["log"]["remoteLocation"]
    assert location.startswith("https://csms.example/charging/station-files/")
    assert location.endswith("/")


async def test_an_address_is_told_to_nobody_but_the_station(house: House, station: Station) -> None:
    station.will_answer("GetDiagnostics", {"fileName": "d"})
    job, address = await diagnostics(house, station)
    secret = address.split("/")[2]
    assert len(secret) >= 32
    house.clock.at = NOON + timedelta(seconds=1)
    said = await house.admin.get(f"{CP1}/messages", params={"action": "GetDiagnostics"})
    assert "/station-files/***/" in said.text
    assert secret not in said.text
    assert secret not in str(job)
    assert all(secret not in str(row) for row in await stored_addresses(house))


async def test_addresses_are_for_one_station_one_file_and_one_way(house: House, station: Station) -> None:
    station.will_answer("UpdateFirmware", {})
    _, address = await update(house, station)
    await house.admin.put("/api/v1/files/other.bin", content=b"other")
    assert (await house.nobody.get(address.replace("fw-2.bin", "other.bin"))).status_code == 404
    assert (await house.nobody.put(address, content=b"x")).status_code == 404
    assert (await house.nobody.get("/station-files/guess/fw-2.bin")).status_code == 404
    house.clock.at = NOON + timedelta(days=8)
    assert (await house.nobody.get(address)).status_code == 404


async def test_a_job_without_news_is_closed_after_a_day(house: House, station: Station) -> None:
    station.will_answer("UpdateFirmware", {})
    job, _ = await update(house, station, retrieve_at="2026-06-01T18:00:00Z")
    house.clock.at = NOON + timedelta(hours=29)  # 23 hours after it was to begin
    await house.services.jobs.tidy()
    assert await status(house, job) == ("Accepted", False)
    house.clock.at = NOON + timedelta(hours=31)
    await house.services.jobs.tidy()
    assert await status(house, job) == ("NoNews", True)


async def test_raw_requests_become_jobs_too_without_passwords(house: House, station: Station) -> None:
    station.will_answer("GetDiagnostics", CallError("NotSupported"), NO_ANSWER)
    raw = {"location": "ftp://user:secret@logs.example/cp1"}
    assert (await house.operator.post(f"{CP1}/ocpp/GetDiagnostics", json=raw)).status_code == 502
    silent = await house.operator.post(f"{CP1}/ocpp/GetDiagnostics?timeout_s=0.05", json=raw)
    assert silent.status_code == 504
    unknown, refused = (await house.operator.get(JOBS)).json()
    assert (unknown["status"], refused["status"]) == ("Unanswered", "Refused")
    assert refused["request"] == {"location": "ftp://…@logs.example/cp1"}
    await station.say("DiagnosticsStatusNotification", {"status": "Uploading"})
    assert await status(house, unknown) == ("Uploading", False)


async def test_a_station_is_not_given_an_address_it_cannot_use(house: House, station: Station) -> None:
    told = [{"key": "SupportedFileTransferProtocols", "readonly": True, "value": "FTP,FTPS"}]
    station.will_answer("GetConfiguration", {"configurationKey": told})
    await house.operator.post(f"{CP1}/ocpp/GetConfiguration", json={})
    refused = await house.operator.post(f"{JOBS}/diagnostics", json={})
    assert refused.status_code == 422
    assert "SupportedFileTransferProtocols" in refused.json()["detail"]
    station.will_answer("GetDiagnostics", {"fileName": "d"})
    elsewhere = await house.operator.post(f"{JOBS}/diagnostics", json={"location": "ftp://logs.example/"})
    assert elsewhere.status_code == 201


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"file": "a", "location": "http://b/"},
        {"location": "b"},
        {"file": "fw-2.bin", "signature": "s"},
        {"file": "fw-2.bin", "install_at": "2026-06-01T20:00:00Z"},
        {"file": "fw-2.bin", "retries": -1},
    ],
)
async def test_an_update_must_make_sense(house: House, station: Station, wrong: dict[str, Any]) -> None:
    await house.admin.put("/api/v1/files/fw-2.bin", content=IMAGE)
    assert (await house.operator.post(f"{JOBS}/firmware", json=wrong)).status_code == 422
    assert (await house.operator.get(JOBS)).json() == []


async def test_jobs_need_a_station_a_connection_and_an_image(house: House, station: Station) -> None:
    missing = await house.operator.post(f"{JOBS}/firmware", json={"file": "nothing.bin"})
    assert (missing.status_code, missing.json()["detail"]) == (404, "file 'nothing.bin' does not exist")
    assert (await house.operator.post("/api/v1/charge-points/X/jobs/log", json={})).status_code == 404
    assert (await house.operator.get("/api/v1/charge-points/X/jobs")).status_code == 404
    await house.is_left_by(station)
    assert (await house.operator.post(f"{JOBS}/diagnostics", json={})).status_code == 409
    assert (await house.operator.get(JOBS)).json() == []
