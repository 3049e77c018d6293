"""Firmware management: cases 044 and 045. The station really fetches the image and really leaves its log."""

from __future__ import annotations

from typing import Any

from octt_station import Connect, OcttStation, Operator, is_now
from station_files import IMAGE, IMAGE_NAME, LOG, fetched, leave, states


async def test_tc_044_1_firmware_is_updated(
    station: OcttStation, operator: Operator, connect: Connect
) -> None:
    job = await update_firmware(station, operator)
    await station.firmware_status("Downloading")
    assert await fetched(job["location"]) == IMAGE
    await station.firmware_status("Downloaded")
    await station.status("Unavailable", 0)
    await station.firmware_status("Installing")
    await station.disconnect()
    back = await connect()
    await back.boot(firmwareVersion="2.0.0")
    await back.firmware_status("Installed")
    assert await states(station, operator, job["id"]) == [
        "Downloading",
        "Downloaded",
        "Installing",
        "Installed",
    ]
    shown = await operator.get(f"/charge-points/{station.identity}")
    assert shown["firmware_version"] == "2.0.0"


async def test_tc_044_2_download_fails(station: OcttStation, operator: Operator) -> None:
    job = await update_firmware(station, operator)
    await station.firmware_status("Downloading")
    await station.firmware_status("DownloadFailed")
    assert await states(station, operator, job["id"]) == ["Downloading", "DownloadFailed"]


async def test_tc_044_3_installation_fails(station: OcttStation, operator: Operator) -> None:
    job = await update_firmware(station, operator)
    for status in ("Downloading", "Downloaded", "Installing", "InstallationFailed"):
        await station.firmware_status(status)
    assert (await states(station, operator, job["id"]))[-1] == "InstallationFailed"


async def test_tc_045_1_diagnostics_are_uploaded(station: OcttStation, operator: Operator) -> None:
    job = await get_diagnostics(station, operator)
    await station.diagnostics_status("Uploading")
    await leave(job["location"], "diagnostics.log", LOG)
    await station.diagnostics_status("Uploaded")
    assert (await states(station, operator, job["id"]))[-1] == "Uploaded"
    assert await operator.download(f"/charge-points/{station.identity}/jobs/{job['id']}/file") == LOG


async def test_tc_045_2_upload_fails(station: OcttStation, operator: Operator) -> None:
    job = await get_diagnostics(station, operator)
    await station.diagnostics_status("Uploading")
    await station.diagnostics_status("UploadFailed")
    assert await states(station, operator, job["id"]) == ["Uploading", "UploadFailed"]


async def update_firmware(station: OcttStation, operator: Operator) -> dict[str, Any]:
    """The job: its id, and the location the station was told."""
    await operator.put_file(f"/files/{IMAGE_NAME}", IMAGE)
    response, (command,) = await operator.act(
        station,
        "POST",
        f"/charge-points/{station.identity}/jobs/firmware",
        {"file": IMAGE_NAME, "retries": 2, "retry_interval_s": 30},
        {"UpdateFirmware": {}},
    )
    assert response.status_code == 201, response.text
    assert (command.payload["retries"], command.payload["retryInterval"]) == (2, 30)
    assert command.payload["location"].endswith(IMAGE_NAME)
    assert is_now(command.payload["retrieveDate"])
    return {"id": response.json()["id"], "location": command.payload["location"]}


async def get_diagnostics(station: OcttStation, operator: Operator) -> dict[str, Any]:
    response, (command,) = await operator.act(
        station,
        "POST",
        f"/charge-points/{station.identity}/jobs/diagnostics",
        {},
        {"GetDiagnostics": {"fileName": "diagnostics.log"}},
    )
    assert response.status_code == 201, response.text
    return {"id": response.json()["id"], "location": command.payload["location"]}
