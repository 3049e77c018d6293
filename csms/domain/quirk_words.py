"""The kinds of deviations from OCPP in words for people. Pure.

A kind is "Action.path: what", "Action answer, path: what" or "frame: what", as `csms.domain.normalise`,
`csms.domain.oddities` and the link name them.
"""

from __future__ import annotations

import re

_WHAT = {
    "padded": "padded with blanks",
    "null": "null where nothing is meant",
    "missing": "left out",
    "unknown property": "a field that OCPP does not have",
    "spelling": "name spelt otherwise",
    "time format": "not written as a time of OCPP",
    "time unreadable": "is no time",
    "clock never set": "from before the clock was set",
    "clock steadily off": "always off by the same time: taken as now",
    "in the future": "in the future",
    "register not known": "not a register: the meter was not read",
    "began anew": "counts from zero again: counted on",
    "charges without a transaction": "of no transaction: it charges freely, so that nothing is recorded",
    "ended by a pause": "a limit of 0 ended the session: its minimum is kept from the second time on",
    "out of range": "a number out of range",
    "fraction": "a fraction where OCPP has whole numbers",
    "unprintable characters": "has characters that cannot be printed",
    "quoted list": "list in quotation marks",
    "not as expected": "is not what OCPP asks for",
    "more than are kept": "more than any station has: the rest is not kept",
}
_NOTES = {
    "malformed JSON mended": "malformed JSON, mended",
    "no payload": "no payload",
    "not JSON": "A frame that is no JSON",
    "call: not JSON": "A call that is no JSON, refused",
    "unknown message type": "A message type that OCPP 1.6 does not have",
}


def in_words(kind: str) -> str:
    """ "MeterValues: value padded with blanks" """
    if kind == "other":
        return "Further kinds, counted together"
    if kind.startswith("frame: "):
        return _of_a_frame(kind.removeprefix("frame: "))
    parts = re.fullmatch(r"(\w+)( answer, |\.)(.*)", kind, re.DOTALL)
    if parts is None:
        return kind
    message = parts[1] if parts[2] == "." else f"Answer to {parts[1]}"
    path, colon, what = parts[3].partition(": ")
    if not colon:
        return f"{message}: {_NOTES.get(path, path)}"
    return f"{message}: {path.rpartition('.')[2]} {_what(what)}"


def _of_a_frame(what: str) -> str:
    code, colon, action = what.partition(": ")
    if colon and code.endswith(("Violation", "NotImplemented", "NotSupported", "ProtocolError")):
        return f"{action} refused: {code}"
    words = _NOTES.get(what, what)
    return words[:1].upper() + words[1:]


def _what(what: str) -> str:
    if (longer := re.fullmatch(r"longer than (\d+)", what)) is not None:
        return f"longer than {longer[1]} characters"
    if (meant := re.fullmatch(r"('.*') for (.+)", what, re.DOTALL)) is not None:
        return f"{meant[1]} instead of {meant[2]}"
    if (unknown := re.fullmatch(r"('.*') unknown", what, re.DOTALL)) is not None:
        return f"{unknown[1]}, which OCPP does not have"
    return _WHAT.get(what, what)
