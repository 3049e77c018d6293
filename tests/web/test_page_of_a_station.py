"""An operator at the page of a station that is really connected asks it for things and reads what it says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from playwright.sync_api import Locator, Page, expect
from served_page import PASSWORD, PHONE, ServedPage, Visit

from csms.domain.certificate_authority import hash_data, new_key
from csms.domain.id_tag import IdTag
from csms.web.jobs import SEND_FILE, UPLOAD_PATH
from tests.messages.operated_station import CallError, Station

pytestmark = pytest.mark.xdist_group("page")

ACCEPTED = {"status": "Accepted"}
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def station(served: ServedPage) -> Iterator[Station]:
    """OPS-1, connected for all these stories; each tells it what to answer."""
    arrived = served.arrives("OPS-1")
    yield arrived
    served.run(arrived.leave())


def part(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


def now(served: ServedPage) -> str:
    """The clock on the wall, which other stories have moved."""
    return f"{served.clock.at:%H:%M}"


def answers(page: Page) -> list[str]:
    """Every question is answered with yes; what was asked."""
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.accept()))
    return asked


def keep(page: Page, name: str) -> None:
    if folder := os.environ.get("HELIANTHUS_SHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def test_a_connector_is_kept_for_a_badge_and_let_go(
    visit: Visit, served: ServedPage, station: Station
) -> None:
    station.will_answer("ReserveNow", {"status": "Occupied"}, CallError("NotSupported"), ACCEPTED)
    station.will_answer("CancelReservation", {"status": "Rejected"}, ACCEPTED)
    page = visit("/stations/OPS-1")
    asked, reservations = answers(page), part(page, "Reservations")
    expect(reservations.get_by_text("Nothing is reserved.")).to_be_visible()
    reservations.get_by_text("Reserve a connector …").click()
    reservations.get_by_label("Badge").fill("ANNA")
    expect(reservations.get_by_label("Until")).to_have_value(f"{served.clock.at + HOUR:%Y-%m-%dT%H:%M}")
    reservations.get_by_label("Until").fill("2026-06-02T13:00")
    reserve = reservations.get_by_role("button", name="Reserve")
    reserve.click()
    expect(page.get_by_text("The station refused: the connector is occupied")).to_be_visible()
    reserve.click()
    expect(page.get_by_text("The station refused: it does not support this (NotSupported)")).to_be_visible()
    reserve.click()
    line = reservations.locator(".entry").first
    expect(line).to_contain_text("Connector 1 for ANNAStandsuntil tomorrow 13:00")
    assert station.asked("ReserveNow")[-1]["expiryDate"] == "2026-06-02T13:00:00Z"

    line.get_by_role("button", name="Cancel").click()
    expect(line).to_contain_text("the station did not let go of it")
    assert "nobody tells the driver" in asked[0]
    line.get_by_role("button", name="Cancel").click()
    expect(line).to_contain_text("Cancelled")
    expect(line.get_by_role("button", name="Cancel")).to_have_count(0)
    keep(page, "reservations")


def test_the_badges_it_knows_are_sent_and_what_differs_is_told(
    visit: Visit, served: ServedPage, station: Station
) -> None:
    served.run(served.services.accounts.save_id_tag(IdTag("ANNA")))
    station.will_answer("GetConfiguration", {"configurationKey": [], "unknownKey": []})
    station.will_answer("GetLocalListVersion", {"listVersion": 0})
    station.will_answer("SendLocalList", {"status": "Failed"}, ACCEPTED)
    page = visit("/stations/OPS-1")
    badges = part(page, "Badges it knows offline")
    expect(badges).to_contain_text("Nothing is known of its list: none was sent, and it was not asked.")
    badges.get_by_role("button", name="Send all badges").click()
    expect(badges).to_contain_text(f"The station could not take it (today {now(served)})")
    badges.get_by_text("1 badge differs from what is stored here").click()
    expect(badges.locator(".entry")).to_have_text("ANNAis missing or differs: Accepted here")
    badges.get_by_role("button", name="Send all badges").click()
    expect(badges).to_contain_text("Version 1 on the station, 1 badge.")
    expect(badges).to_contain_text(
        f"Taken by the station (today {now(served)}) · follows the badges stored here"
    )
    expect(badges.get_by_text("1 badge differs")).to_be_hidden()
    station.will_answer("GetLocalListVersion", {"listVersion": 7})
    badges.get_by_role("button", name="Ask its version").click()
    expect(badges).to_contain_text("Version 7 on the station.")
    expect(badges).to_contain_text("a list that was not sent from here")
    served.run(served.services.accounts.remove_id_tag("ANNA"))


def test_an_administrator_stores_firmware_and_a_station_installs_it(
    visit: Visit, served: ServedPage, station: Station
) -> None:
    station.will_answer("UpdateFirmware", {})
    page = visit("/stations/OPS-1", role="admin")
    asked, jobs = answers(page), part(page, "Firmware and logs")
    jobs.get_by_text("Update the firmware …").click()
    image = {"name": "fw-2.bin", "mimeType": "application/octet-stream", "buffer": b"new and better"}
    jobs.get_by_label("Store another image").set_input_files(image)
    expect(page.get_by_text("fw-2.bin is stored")).to_be_visible()
    jobs.get_by_label("Not before").fill("2026-06-02T03:00")
    jobs.get_by_label("Stored image").select_option("fw-2.bin")
    jobs.get_by_role("button", name="Update", exact=True).click()
    line = jobs.locator(".entry", has_text="Firmware update, fw-2.bin")
    expect(line).to_contain_text("Taken on")
    assert "whoever charges there is interrupted" in asked[0]
    (request,) = station.asked("UpdateFirmware")
    assert request["retrieveDate"] == "2026-06-02T03:00:00Z"
    assert httpx.get(request["location"], trust_env=False).content == b"new and better"
    for status in ("Downloading", "InstallationFailed"):
        served.run(station.say("FirmwareStatusNotification", {"status": status}))
    expect(line).to_contain_text(f"Downloading today {now(served)} · Installation failed today {now(served)}")
    jobs.locator(".entry", has_text="0.0 MB").get_by_role("button", name="Remove").click()
    expect(jobs.get_by_text("No image is stored.")).to_be_visible()


def test_a_log_is_fetched_and_saved(visit: Visit, served: ServedPage, station: Station) -> None:
    station.will_answer("GetDiagnostics", {"fileName": "d.log"})
    page = visit("/stations/OPS-1")
    jobs = part(page, "Firmware and logs")
    jobs.get_by_text("Fetch a log …").click()
    jobs.get_by_role("button", name="Fetch").click()
    line = jobs.locator(".entry").first
    expect(line).to_contain_text("DiagnosticsTaken on")
    (request,) = station.asked("GetDiagnostics")
    assert httpx.put(f"{request['location']}d.log", content=b"lines", trust_env=False).status_code == 201
    with page.expect_download() as saved:
        line.get_by_role("link", name="Save the file").click()
    assert saved.value.path().read_bytes() == b"lines"
    assert saved.value.suggested_filename.endswith("-d.log")
    served.run(
        station.say(
            "SecurityEventNotification",
            {"type": "TamperDetectionActivated", "timestamp": "2026-06-01T11:59:00Z", "techInfo": "lid"},
        )
    )
    events = part(page, "Security events")
    expect(events).to_contain_text("Tamper detection activatedcriticaltoday 11:59 · lid")


def test_its_certificate_is_revoked_and_a_root_deleted(
    visit: Visit, served: ServedPage, station: Station
) -> None:
    key = new_key("ecdsa")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "OPS-1")])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    station.will_answer("CertificateSigned", ACCEPTED)
    station.will_answer("InstallCertificate", {"status": "Failed"})
    roots = served.run(served.services.certificates.roots())
    root = hash_data(roots["rsa"].certificate, roots["rsa"].certificate, "SHA256")
    listed = {
        "status": "Accepted",
        "certificateHashData": [{**root, "serialNumber": root["serialNumber"].upper()}],
    }
    station.will_answer("GetInstalledCertificateIds", listed, {"status": "NotFound"})
    station.will_answer("DeleteCertificate", ACCEPTED)
    served.run(station.say("SignCertificate", {"csr": csr.public_bytes(Encoding.PEM).decode()}))
    served.run(station.is_asked("CertificateSigned", 1))

    page = visit("/stations/OPS-1", role="admin")
    asked, certificates = answers(page), part(page, "Certificates")
    issued = certificates.get_by_label("Issued to the station").locator(".entry")
    expect(issued).to_contain_text("Holds")
    certificates.get_by_role("button", name="Ask what is installed").click()
    installed = certificates.get_by_label("Roots installed on it").locator(".entry")
    expect(installed).to_contain_text("of this server (RSA)")
    certificates.get_by_text("Install a root …").click()
    certificates.get_by_role("button", name="Install it").click()
    expect(page.get_by_text("The station could not install it")).to_be_visible()
    installed.get_by_role("button", name="Delete").click()
    expect(certificates.get_by_text("No root is known to be installed on it.")).to_be_visible()
    assert "may not come back" in asked[0]
    (deleted,) = station.asked("DeleteCertificate")
    assert deleted["certificateHashData"]["serialNumber"] == root["serialNumber"].upper()
    issued.get_by_role("button", name="Revoke").click()
    expect(issued).to_contain_text("Revoked")
    expect(issued.get_by_role("button")).to_have_count(0)


def test_a_session_that_never_ends_is_closed_with_a_reason(visit: Visit, served: ServedPage) -> None:
    """First its station charges and refuses to stop; then it is gone for good."""
    station = served.arrives("OPS-2")
    station.will_answer("RemoteStopTransaction", {"status": "Rejected"})
    start = {"connectorId": 1, "idTag": "BERT", "meterStart": 0, "timestamp": "2026-06-01T11:00:00Z"}
    served.run(station.say("StartTransaction", start))
    served.run(station.say("StatusNotification", _status("Charging")))
    page = visit("/stations/OPS-2")
    asked, sessions = answers(page), part(page, "Sessions")
    line = sessions.locator(".entry")
    expect(line).to_contain_text("Connector 1, BERTCharging")
    line.get_by_role("button", name="Have it stopped").click()
    expect(page.get_by_text("The station refused to stop it")).to_be_visible()
    assert "charging ends now" in asked[0]

    served.leaves(station)
    expect(line).to_contain_text("Not connected")
    line.get_by_text("Close it here …").click()
    line.get_by_label("Why").fill("station swapped")
    line.get_by_label("Why").press("Enter")
    expect(sessions.get_by_text("No session runs.")).to_be_visible()
    assert "as for a station that is gone" in asked[1]
    (row,) = served.run(served.services.reporting.transactions(identity="OPS-2"))
    assert (row["stop_reason"], row["close_note"]) == ("Lost", "operator: station swapped")
    (told, *_) = served.run(served.services.frames.messages("OPS-2"))
    assert told["text"].endswith("closed at 0.00 kWh by operator: station swapped")


def _status(status: str) -> dict[str, Any]:
    return {"connectorId": 1, "errorCode": "NoError", "status": status}


def test_a_station_that_is_away_is_not_asked(visit: Visit, served: ServedPage) -> None:
    served.leaves(served.arrives("OPS-3"))
    page = visit("/stations/OPS-3")
    part(page, "Certificates").get_by_role("button", name="Ask what is installed").click()
    expect(page.get_by_text("OPS-3 is not connected: nothing was asked of it")).to_be_visible()


def test_a_viewer_reads_and_asks_nothing(visit: Visit, served: ServedPage, station: Station) -> None:
    page = visit("/stations", role="viewer")
    page.get_by_role("link", name="OPS-1").click()
    expect(part(page, "Security events")).to_be_visible()
    expect(page.locator(".panel button, .panel form, .panel a")).to_have_count(0)


def test_the_page_of_a_station_fits_a_phone(visit: Visit, served: ServedPage, station: Station) -> None:
    page = visit("/stations/OPS-1", role="admin", viewport=PHONE)
    expect(part(page, "Security events")).to_be_visible()
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    keep(page, "station-phone")


def test_files_are_for_those_who_may(served: ServedPage, station: Station) -> None:
    """Over plain HTTP, by somebody who knows the addresses."""
    assert UPLOAD_PATH in SEND_FILE
    for role, statuses in (("viewer", (403, 403)), ("operator", (403, 404)), ("admin", (413, 404))):
        with httpx.Client(base_url=served.address, trust_env=False) as client:
            client.post("/login", data={"name": role, "password": PASSWORD, "next": "/stations"})
            stored = client.put(f"{UPLOAD_PATH}big.bin", content=b"x" * 100_001)
            log = client.get("/stations/OPS-1/jobs/99/file")
            assert (stored.status_code, log.status_code) == statuses
            assert stored.json()["detail"]
    assert httpx.put(f"{served.address}{UPLOAD_PATH}a.bin", content=b"x", trust_env=False).status_code == 403
