"""The short way to a yes says yes to nothing that the schema of OCPP refuses."""

from __future__ import annotations

import copy
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from csms.domain.conformity import conforms
from csms.domain.ocpp_schemas import SchemaViolation, validate_request

PLAIN = {
    "connectorId": 1,
    "transactionId": 7,
    "meterValue": [
        {
            "timestamp": "2026-06-01T12:00:00Z",
            "sampledValue": [
                {"value": "12.5", "measurand": "Voltage", "phase": "L1-N", "unit": "V", "location": "Outlet"},
                {"value": "100", "context": "Sample.Periodic", "format": "Raw"},
            ],
        }
    ],
}
ODD = [None, True, 0, -1, 2**40, 1.0, "", "1", "x", [], {}, [{}], {"value": "1"}, "2026-06-01T12:00:00Z"]


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(place for key, item in below for place in places(item, (*path, key)))]


def changed(path: tuple[Any, ...], value: Any, *, renamed: bool) -> Any:
    payload = copy.deepcopy(PLAIN)
    parent: Any = payload
    for key in path[:-1]:
        parent = parent[key]
    if renamed and isinstance(parent, dict):
        parent["made_up"] = parent.pop(path[-1])
    else:
        parent[path[-1]] = value
    return payload


def passes_schema(payload: dict[str, Any]) -> bool:
    try:
        validate_request("MeterValues", payload)
    except SchemaViolation:
        return False
    return True


def test_plain_meter_values_conform() -> None:
    assert conforms("MeterValues", PLAIN)
    without = {key: item for key, item in PLAIN.items() if key != "transactionId"}
    assert conforms("MeterValues", without)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(places(PLAIN)[1:]), st.sampled_from(ODD), st.booleans())
def test_what_conforms_passes_its_schema(path: tuple[Any, ...], value: Any, renamed: bool) -> None:
    payload = changed(path, value, renamed=renamed)
    if conforms("MeterValues", payload):
        assert passes_schema(payload)


@pytest.mark.parametrize("transaction_id", [0, -2, 2**31])
def test_an_id_that_we_never_give_does_not_conform(transaction_id: int) -> None:
    assert not conforms("MeterValues", {**PLAIN, "transactionId": transaction_id})


@pytest.mark.parametrize("value", ["", " 1", "1_0", "nan", "inf", "1,5"])
def test_a_value_that_is_no_number_does_not_conform(value: str) -> None:
    assert not conforms(
        "MeterValues", changed(("meterValue", 0, "sampledValue", 0, "value"), value, renamed=False)
    )


def test_a_station_that_makes_up_endless_words_fills_no_memory() -> None:
    """Each frame a measurand of its own, as long as a frame may be."""
    tracemalloc.start()
    try:
        for n in range(20):
            samples = [{"value": "1", "measurand": f"{n}" * 500_000}]
            element = {"timestamp": "2026-06-01T12:00:00Z", "sampledValue": samples}
            assert not conforms("MeterValues", {"connectorId": 1, "meterValue": [element]})
        assert tracemalloc.get_traced_memory()[0] < 5_000_000
    finally:
        tracemalloc.stop()
