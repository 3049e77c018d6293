"""How Helianthus copes with each character: a column of docs/stations.md."""

from __future__ import annotations

COPING = {
    # stations
    "ABB Terra AC": (
        "stack level 0 and the transaction's id always; keys are asked for by name, its measurands are "
        "known; a total counts before phases"
    ),
    "Wallbox": (
        "after the first rejection Relative is tried, and remembered for the next of its kind; it is "
        "triggered to boot; what is measured counts, not Current.Offered; a lost link ends nothing"
    ),
    "Wallbox, firmware 5": "stack level 0 is what is tried first",
    "Schneider EVlink Pro AC": (
        "control by TxProfile works without the settings; the floor is tried again seldom, and the page "
        "says that it is refused"
    ),
    "Zaptec Pro": (
        "the interval is set; the register counts from the first one read; an error code does not stop "
        "control"
    ),
    "Easee Charge": (
        "a budget of 25 writes: lowered whenever a fuse or the sun needs it, started at once as long as much "
        "of it is left, raised seldom; no rewriting for the dead-man"
    ),
    "Huawei FusionCharge": (
        "watts are used; it is never paused: its minimum is kept, and only a fuse that cannot carry that, a "
        "person or the grid operator stops it"
    ),
    "go-e": "amperes; it is seen to take more than it was offered, and written to again",
    "ZJ Beny": "a pause is 0 A with the transaction kept, never its end",
    "NEcharge": "a step too low is no fault; what is measured counts",
    "Autel MaxiCharger": (
        "a start by RemoteStart; a minute after a session it is restarted, so that the next can begin"
    ),
    "Alfen Eve": "its own tag is a tag like others; phases are left alone unless switching is wanted",
    "EVBox Elvi": (
        "found not to pause after a few ways were tried: its minimum is kept, and the sun decides above that"
    ),
    "Timxon": "TxDefaultProfile carries limit and dead-man in one",
    "Heidelberg connect.business": (
        "found to be deaf after the ways were tried: shown, and its draw counts as the house's, so that "
        "others make room; where the fuse cannot carry it its session is stopped, and begun anew when it can"
    ),
    "KEBA P30": (
        "found after five minutes at its floor's current: from then on limit and floor share one profile"
    ),
    "myenergi Zappi": "as Timxon; it is written to once a minute at most",
    "Charging at 0 A": "what is measured counts, not the status",
    "Ignores numberPhases": (
        "it says that it offers nothing although it may: the watts are counted otherwise, at last for three "
        "phases"
    ),
    "One phase told": "the power tells that three are in use",
    "Kilowatts": "units are converted, blanks ignored",
    "Session register": "a register that begins anew is noticed; energy is right",
    "Clock two minutes slow": "the offset is measured, schedules begin earlier",
    "Clock two minutes fast": "schedules begin a minute in the past; the dead-man is as long as it should be",
    "Times without zone": "taken for UTC",
    "Random start delay": "waits, and is not taken for asleep for good",
    "One period only": "a schedule that ends, with the floor beneath it, is the dead-man",
    "Free charging": (
        "found after a minute by the current that flows; held by a ChargePointMaxProfile; nothing is recorded"
    ),
    "Answers late": "the answer is waited for; others are not delayed",
    "Phases rotated": (
        "its ConnectorPhaseRotation is read: what flows on its L1 counts on the grid's L2, unless the site "
        "file gives the phases in another order than L1, L2, L3"
    ),
    "Well-behaved": "as designed",
    # vehicles
    "three phases": "as designed",
    "one phase 32 A": (
        "the phases that it uses are seen within a minute; the first start needs the sun for three"
    ),
    "two phases": "the phases that it uses are seen within a minute",
    "sleeps if not fed at first": "seen to be asleep and woken by 0 A, then 10 A and more",
    "sleeps after a pause": "seen to be asleep and woken by 0 A, then 10 A and more",
    "wakes by hand only": "woken in vain a few times, then the page asks for a hand; others get the sun",
    "8 A minimum": "`min_a = 8` at the connector or with the badge",
    "10 A minimum": "`min_a = 10` at the connector or with the badge",
    "plug-in hybrid": "what it leaves goes to others",
    "cannot vary": "`modulates = false`: on or off, like an appliance",
    "takes less": "what is measured counts",
    "trickles": "taken for full",
    "full early": "what it leaves goes to others",
    "touchy": "minimum times keep it from starting often",
}
