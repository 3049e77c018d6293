"""What a station fetches and leaves, and what the operator sees of it."""

from __future__ import annotations

from octt_station import OcttStation, Operator

from tests.api.api_builders import rest_client

IMAGE = b"\x7fELF firmware 2.0.0 " * 64
LOG = b"2026-06-21T10:00:00Z all is well\n" * 16
IMAGE_NAME = "story-2.0.0.bin"


async def fetched(location: str) -> bytes:
    async with rest_client() as client:
        response = await client.get(location)
    assert response.status_code == 200, response.text
    return response.content


async def leave(location: str, name: str, content: bytes) -> None:
    async with rest_client() as client:
        response = await client.put(f"{location.rstrip('/')}/{name}", content=content)
    assert response.status_code in (200, 201, 204), response.text


async def states(station: OcttStation, operator: Operator, job_id: int) -> list[str]:
    """What the station reported of the job, oldest first."""
    ours = ("Asked", "Accepted", "FileReceived")
    job = await operator.get(f"/charge-points/{station.identity}/jobs/{job_id}")
    assert job["status"] == job["history"][-1]["status"]
    return [entry["status"] for entry in job["history"] if entry["status"] not in ours]
