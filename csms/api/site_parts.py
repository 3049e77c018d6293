"""The parts of a site one by one: each change rebuilds the whole description, so that it stays consistent."""
# No postponed annotations here: the endpoints of a kind are made for its model.

import asyncio
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Body, Path, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from csms.api.problems import responses
from csms.api.tokens import ServicesHere, admin, viewer
from csms.domain.device_config import MeterConfig, RelayModuleConfig
from csms.domain.site import (
    ApplianceConfig,
    BatteryConfig,
    ChargePointConfig,
    CircuitConfig,
    ConnectorConfig,
    LoadSheddingConfig,
    SiteConfig,
)
from csms.domain.site_fields import SiteModel
from csms.errors import InvalidInput, NotFound
from csms.services.bundle import Services

router = APIRouter(prefix="/sites/{site_id}", tags=["parts of a site"])

PartT = TypeVar("PartT", CircuitConfig, MeterConfig, RelayModuleConfig, ApplianceConfig, ChargePointConfig)
SingleT = TypeVar("SingleT", BatteryConfig, LoadSheddingConfig)

# Reading a description, changing a part and applying it must not interleave with another change.
_one_change_at_a_time = asyncio.Lock()


def validated_site(description: dict[str, Any]) -> SiteConfig:
    """Raises RequestValidationError: one fault per field, as if the whole had been sent."""
    try:
        return SiteConfig.model_validate(description)
    except ValidationError as error:
        raise RequestValidationError(
            [{**fault, "loc": ("body", *fault["loc"])} for fault in error.errors()]
        ) from None


def _dump(part: SiteModel) -> dict[str, Any]:
    return part.model_dump(mode="json", by_alias=True, exclude_none=True)


async def _replace(services: Services, site: SiteConfig, key: str, parts: list[dict[str, Any]]) -> None:
    await services.sites.apply(validated_site({**_dump(site), key: parts}))


def _position(parts: list[Any], kind: str, part_id: str | int) -> int:
    for position, part in enumerate(parts):
        if part.id == part_id:
            return position
    raise NotFound(kind, str(part_id))


def add_part_routes(path: str, key: str, kind: str, model: type[PartT]) -> None:
    part_path = "/" + path + "/{part_id}"
    PartId = Annotated[str, Path(description=f"id of the {kind}")]

    async def list_parts(site_id: str, services: ServicesHere) -> Any:
        return getattr(services.sites.get(site_id), key)

    async def get_part(site_id: str, part_id: PartId, services: ServicesHere) -> Any:
        parts = getattr(services.sites.get(site_id), key)
        return parts[_position(parts, kind, part_id)]

    async def put_part(
        site_id: str, part_id: PartId, part: PartT, services: ServicesHere, response: Response
    ) -> Any:
        if part.id != part_id:
            raise InvalidInput("id", part.id, f"the id in the path ({part_id})")
        async with _one_change_at_a_time:
            site = services.sites.get(site_id)
            parts = [_dump(p) for p in getattr(site, key)]
            known = next((n for n, p in enumerate(parts) if p["id"] == part_id), None)
            if known is None:
                response.status_code = 201
                parts.append(_dump(part))
            else:
                parts[known] = _dump(part)
            await _replace(services, site, key, parts)
        return part

    async def delete_part(site_id: str, part_id: PartId, services: ServicesHere) -> None:
        async with _one_change_at_a_time:
            site = services.sites.get(site_id)
            parts = getattr(site, key)
            gone = _position(parts, kind, part_id)
            await _replace(services, site, key, [_dump(p) for n, p in enumerate(parts) if n != gone])

    put_part.__annotations__["part"] = model
    name = key.replace("_", " ")
    read: dict[str, Any] = {"dependencies": [viewer], "responses": responses(401, 403, 404)}
    write: dict[str, Any] = {"dependencies": [admin], "responses": responses(401, 403, 404, 422)}
    router.add_api_route(
        f"/{path}", list_parts, summary=f"All {name}s of a site", response_model=list[model],  # type: ignore[valid-type]
        operation_id=f"list_{key}s", response_model_exclude_none=True, **read,
    )  # fmt: skip
    router.add_api_route(
        part_path, get_part, summary=f"One {name}", response_model=model,
        operation_id=f"get_{key}", response_model_exclude_none=True, **read,
    )  # fmt: skip
    router.add_api_route(
        part_path, put_part, methods=["PUT"], summary=f"Replace a {name}, or add it (201)",
        response_model=model, operation_id=f"put_{key}", response_model_exclude_none=True, **write,
    )  # fmt: skip
    router.add_api_route(
        part_path, delete_part, methods=["DELETE"], status_code=204,
        summary=f"Remove a {name}; refused while another part refers to it", operation_id=f"delete_{key}",
        **write,
    )  # fmt: skip


add_part_routes("circuits", "circuit", "circuit", CircuitConfig)
add_part_routes("meters", "meter", "meter", MeterConfig)
add_part_routes("relay-modules", "relay_module", "relay module", RelayModuleConfig)
add_part_routes("appliances", "appliance", "appliance", ApplianceConfig)
add_part_routes("charge-points", "charge_point", "charge point", ChargePointConfig)


def add_single_part_routes(path: str, key: str, name: str, model: type[SingleT]) -> None:
    async def get_part(site_id: str, services: ServicesHere) -> Any:
        if (part := getattr(services.sites.get(site_id), key)) is None:
            raise NotFound(name, site_id)
        return part

    async def put_part(site_id: str, part: SingleT, services: ServicesHere, response: Response) -> Any:
        async with _one_change_at_a_time:
            site = services.sites.get(site_id)
            response.status_code = 201 if getattr(site, key) is None else 200
            await services.sites.apply(validated_site({**_dump(site), key: _dump(part)}))
        return part

    async def delete_part(site_id: str, services: ServicesHere) -> None:
        async with _one_change_at_a_time:
            site = services.sites.get(site_id)
            if getattr(site, key) is None:
                raise NotFound(name, site_id)
            await services.sites.apply(validated_site({**_dump(site), key: None}))

    put_part.__annotations__["part"] = model
    read: dict[str, Any] = {"dependencies": [viewer], "responses": responses(401, 403, 404)}
    write: dict[str, Any] = {"dependencies": [admin], "responses": responses(401, 403, 404, 422)}
    router.add_api_route(
        path, get_part, summary=f"The site's {name}", response_model=model,
        operation_id=f"get_{key}", response_model_exclude_none=True, **read,
    )  # fmt: skip
    router.add_api_route(
        path, put_part, methods=["PUT"], summary=f"Replace the {name}, or add it (201)",
        response_model=model, operation_id=f"put_{key}", response_model_exclude_none=True, **write,
    )  # fmt: skip
    router.add_api_route(
        path, delete_part, methods=["DELETE"], status_code=204, summary=f"Remove the {name}",
        operation_id=f"delete_{key}", **write,
    )  # fmt: skip


add_single_part_routes("/battery", "battery", "battery policy", BatteryConfig)
add_single_part_routes("/load-shedding", "load_shedding", "load-shedding input", LoadSheddingConfig)


CONNECTOR = "/charge-points/{identity}/connectors"


def _charge_point(site: SiteConfig, identity: str) -> ChargePointConfig:
    return site.charge_point[_position(site.charge_point, "charge point", identity)]


async def _replace_connectors(
    services: Services, site: SiteConfig, identity: str, connectors: list[ConnectorConfig]
) -> None:
    points = [_dump(p) for p in site.charge_point]
    points[_position(site.charge_point, "charge point", identity)]["connectors"] = [
        _dump(c) for c in connectors
    ]
    await _replace(services, site, "charge_point", points)


@router.get(
    CONNECTOR,
    dependencies=[viewer],
    responses=responses(401, 403, 404),
    response_model_exclude_none=True,
    summary="All connectors of a charge point",
)
async def list_connectors(site_id: str, identity: str, services: ServicesHere) -> list[ConnectorConfig]:
    return _charge_point(services.sites.get(site_id), identity).connectors


@router.get(
    CONNECTOR + "/{connector_id}",
    dependencies=[viewer],
    responses=responses(401, 403, 404),
    response_model_exclude_none=True,
    summary="One connector",
)
async def get_connector(
    site_id: str, identity: str, connector_id: int, services: ServicesHere
) -> ConnectorConfig:
    connectors = _charge_point(services.sites.get(site_id), identity).connectors
    return connectors[_position(connectors, "connector", connector_id)]


@router.put(
    CONNECTOR + "/{connector_id}",
    dependencies=[admin],
    responses=responses(401, 403, 404, 422),
    response_model_exclude_none=True,
    summary="Replace a connector, or add it (201)",
)
async def put_connector(
    site_id: str,
    identity: str,
    connector_id: int,
    connector: Annotated[ConnectorConfig, Body()],
    services: ServicesHere,
    response: Response,
) -> ConnectorConfig:
    if connector.id != connector_id:
        raise InvalidInput("id", connector.id, f"the id in the path ({connector_id})")
    async with _one_change_at_a_time:
        site = services.sites.get(site_id)
        connectors = {c.id: c for c in _charge_point(site, identity).connectors}
        response.status_code = 200 if connector_id in connectors else 201
        connectors[connector_id] = connector
        await _replace_connectors(services, site, identity, list(connectors.values()))
    return connector


@router.delete(
    CONNECTOR + "/{connector_id}",
    dependencies=[admin],
    responses=responses(401, 403, 404, 422),
    status_code=204,
    summary="Remove a connector",
)
async def delete_connector(site_id: str, identity: str, connector_id: int, services: ServicesHere) -> None:
    async with _one_change_at_a_time:
        site = services.sites.get(site_id)
        connectors = _charge_point(site, identity).connectors
        gone = _position(connectors, "connector", connector_id)
        left = [c for n, c in enumerate(connectors) if n != gone]
        await _replace_connectors(services, site, identity, left)
