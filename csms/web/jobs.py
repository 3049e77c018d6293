"""Firmware updates and logs of a station: asked for, followed, and what it left here."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import quote

from nicegui import events

from csms.errors import InvalidInput, NotFound
from csms.services.files import MB, StoredFile
from csms.services.station_jobs import Signature
from csms.web.elements import Tag
from csms.web.station_part import (
    Line,
    Listing,
    Part,
    Refused,
    choice,
    field,
    folded,
    sending,
    submit,
    text_field,
)
from csms.web.station_words import error_code_in_words, job_state

Row = dict[str, Any]
MOST_SHOWN = 20
UPLOAD_PATH = "/page-files/"
INSTALL = (
    "When the station has the firmware it installs it and restarts: whoever charges there is interrupted. "
    "Update it?"
)
REMOVE = "Stations that are to fetch this file cannot any more. Remove it?"
KINDS = {
    "GetDiagnostics": "Diagnostics",
    "DiagnosticsLog": "Diagnostics log (security extension)",
    "SecurityLog": "Security log (security extension)",
}
ACTIONS = {
    "UpdateFirmware": "Firmware update",
    "SignedUpdateFirmware": "Signed firmware update",
    "GetDiagnostics": "Diagnostics",
}
# The file goes to the server as it is; what became of it is told to the page.
SEND_FILE = sending(f'"{UPLOAD_PATH}" + encodeURIComponent(file.name)')


class JobLine(Line):
    def __init__(self, part: Jobs, row: Row) -> None:
        super().__init__()
        self._part = part
        with self.actions:
            if part.visitor.may_operate and part.has_file(row):
                path = f"/stations/{quote(part.identity, safe='')}/jobs/{row['id']}/file"
                Tag("a", "Save the file", classes="quiet-link", href=path, download="")

    def show(self, row: Row) -> None:
        when = self._part.visitor.when
        told = [
            f"{job_state(one['status'])[0]} {when(datetime.fromisoformat(one['at']))}"
            for one in row["history"]
        ]
        answer = row["answer"] or {}
        if "error" in answer:
            told.append(error_code_in_words(str(answer["error"]).partition(":")[0]))
        source = _source(row["request"])
        self.say(
            f"{_title(row)}{f', {source}' if source else ''}", " · ".join(told), *job_state(row["status"])
        )


class ImageLine(Line):
    def __init__(self, part: Jobs, name: str) -> None:
        super().__init__()
        self._name, self._part = name, part
        with self.actions:
            part.button("Remove", self._remove, REMOVE)

    def show(self, image: StoredFile) -> None:
        self.say(
            image.name, f"{image.size_bytes / MB:.1f} MB, since {self._part.visitor.when(image.stored_at)}"
        )

    async def _remove(self) -> str:
        self._part.services.files.remove_image(self._name)
        return f"{self._name} is removed"


class Jobs(Part):
    def build(self) -> None:
        self._shown_images: list[str] | None = None
        self._list = Listing[Row](
            "Nothing was asked for yet.",
            lambda row: (row["id"], self.has_file(row)),
            lambda row: JobLine(self, row),
            "Firmware updates and logs",
        )
        if not self.visitor.may_operate:
            return
        with folded("Fetch a log …"), self.form("Fetch a log", self._fetch):
            choice("What", "kind", KINDS)
            field("From", "from", "datetime-local")
            field("Until", "until", "datetime-local")
            submit("Fetch")
        with folded("Update the firmware …"):
            self._firmware_form()
            if self.visitor.may_administer:
                self._image_fields()

    def _firmware_form(self) -> None:
        with self.form("Update the firmware", self._update, INSTALL):
            self._images = choice("Stored image", "file", {})
            field("Or its address", "location", "url", placeholder="https://…", autocomplete="off")
            field("Not before", "retrieve_at", "datetime-local")
            with folded("Signed by its maker …"):
                text_field("Signature (Base64)", "signature")
                text_field("Certificate of the signer (PEM)", "certificate")
                field("Install from", "install_at", "datetime-local")
            submit("Update")

    def _image_fields(self) -> None:
        with Tag("label", classes="upload"):
            Tag("span", "Store another image")
            upload = Tag("input", type="file")
        upload.on("change", self._stored, js_handler=SEND_FILE)
        self._image_list = Listing[StoredFile](
            "No image is stored.",
            lambda image: image.name,
            lambda image: ImageLine(self, image.name),
            "Images stored here",
        )

    async def refresh(self) -> None:
        self._list.show(await self.services.jobs.jobs(self.identity, MOST_SHOWN))
        if self.visitor.may_operate:
            self._show_images()

    def _show_images(self) -> None:
        images = self.services.files.images()
        names = [image.name for image in images]
        if names != self._shown_images:
            self._shown_images = names
            self._images.clear()
            with self._images:
                Tag("option", "–", value="")
                for name in names:
                    Tag("option", name, value=name)
        if self.visitor.may_administer:
            self._image_list.show(images)

    def has_file(self, row: Row) -> bool:
        try:
            self.services.files.left(self.identity, row["file_name"] or "")
        except NotFound:
            return False
        return True

    async def _stored(self, event: events.GenericEventArguments) -> None:
        fault, name = (str(part) for part in event.args)
        self.tell(
            f"{name} was not stored: {fault}" if fault else f"{name} is stored",
            "negative" if fault else "positive",
        )
        await self.refresh()

    async def _update(self, fields: Row) -> str:
        file, location = str(fields.get("file", "")), str(fields.get("location", "")).strip()
        if bool(file) == bool(location):
            raise InvalidInput("firmware", location or file, "either a stored image or an address")
        if location and "://" not in location:
            raise InvalidInput("address", location, "an address such as https://…")
        signature, certificate = (str(fields.get(name, "")).strip() for name in ("signature", "certificate"))
        if bool(signature) != bool(certificate):
            raise InvalidInput("signature", signature[:20], "a signature with its certificate, or neither")
        row = await self.services.jobs.update_firmware(
            self.identity,
            file or location,
            self.visitor.public_url,
            self.visitor.time(fields.get("retrieve_at"), "not before"),
            self.visitor.time(fields.get("install_at"), "install from"),
            None,
            Signature(certificate, signature) if signature else None,
        )
        return _outcome(row)

    async def _fetch(self, fields: Row) -> str:
        kind, url = str(fields.get("kind")), self.visitor.public_url
        start, end = (self.visitor.time(fields.get(name), name) for name in ("from", "until"))
        if kind == "GetDiagnostics":
            return _outcome(await self.services.jobs.get_diagnostics(self.identity, url, None, start, end))
        return _outcome(await self.services.jobs.get_log(self.identity, kind, url, None, start, end))


def _outcome(row: Row) -> str:
    words, colour = job_state(row["status"])
    told = f"{_title(row)}: {words.lower()}"
    if colour == "fault":
        raise Refused(told)
    return told


def _title(row: Row) -> str:
    if row["action"] == "GetLog":
        return KINDS.get(str(row["request"].get("logType")), "Log").partition(" (")[0]
    return ACTIONS[row["action"]]


def _source(request: Row) -> str:
    """The file that a station is to fetch."""
    firmware = request.get("firmware") or request
    location = str(firmware.get("location") or "")
    return location.rpartition("/")[2] if not location.endswith("/") else ""
