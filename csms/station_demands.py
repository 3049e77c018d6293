"""What a site's stations ask of the control: the demand of each connector, and what they are known for."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from csms.domain.charge_point import ConnectorReading, LiveConnector, Station
from csms.domain.charging_profile import ConnectorWiring
from csms.domain.site import ChargePointConfig, ConnectorConfig, SiteConfig, safe_currents
from csms.domain.station_facts import StationFacts, facts_of
from csms.errors import NotFound
from csms.services.charge_points import ChargePoints
from csms.services.setpoints import Setpoints
from csms.services.sites import Sites
from optimizer.model import ConnectorDemand, ConnectorState, Memory

AWAY_AFTER = timedelta(minutes=3)  # by then a station is back from its own restart, or from ours
SETTLE_S = 10.0  # after a change, samples younger than this still show the old state
WIRE_RESOLUTION_A = 0.1


class StationDemands:
    """safe_a: by (charge point, connector), what is offered while the central system is silent."""

    def __init__(
        self, config: SiteConfig, sites: Sites, charge_points: ChargePoints, setpoints: Setpoints
    ) -> None:
        self._config, self._wishes = config, sites.wishes
        self._charge_points, self._setpoints = charge_points, setpoints
        self.safe_a = safe_currents(config)
        self._away_since: dict[str, datetime] = {}

    def stations(self) -> dict[str, Station]:
        """Those that have ever called, by identity."""
        return {point.id: station for point, station in self._known()}

    def _known(self) -> Iterator[tuple[ChargePointConfig, Station]]:
        for point in self._config.charge_point:
            try:
                station = self._charge_points.station(point.id)
            except NotFound:
                continue
            yield point, station

    def vehicle_min_a(self) -> dict[str, float]:
        """What the vehicles that charge right now need, told from their badges."""
        return {
            f"{point.id}/{number}": live.transaction.min_a
            for point, station in self._known()
            for number, live in station.connectors.items()
            if live.transaction is not None and live.transaction.min_a is not None
        }

    def facts(self) -> dict[str, StationFacts]:
        return {
            point.id: facts_of(station, self._setpoints.never_pauses(point.id))
            for point, station in self._known()
        }

    def undescribed(self, now: datetime) -> list[tuple[str, int]]:
        """(identity, connector) where a vehicle charges, at a station of which only others are described."""
        found = []
        for point, station in self._known():
            described = {connector.id for connector in point.connectors}
            for number, live in sorted(station.connectors.items()):
                if number > 0 and number not in described and live.state(now) == "charging":
                    found.append((point.id, number))
        return found

    def outranked(self) -> set[str]:
        """Connectors where an operator's own charging profile rules."""
        return {
            f"{point.id}/{connector.id}"
            for point, _ in self._known()
            for connector in point.connectors
            if self._setpoints.is_outranked(point.id, connector.id)
        }

    def wiring(self, connector: ConnectorConfig) -> ConnectorWiring:
        return ConnectorWiring(connector.id, len(connector.phases), self._config.site.voltage_v)

    def of_connectors(
        self, memory: Memory, now: datetime, tested: Collection[tuple[str, int]] = ()
    ) -> dict[str, ConnectorDemand]:
        """Of each that is described, and of each where a vehicle charges though nobody described it.

        tested: (identity, connector) of those that a check holds to some limit.
        """
        stations = self.stations()
        demands = {
            f"{point.id}/{connector.id}": self._demand(stations.get(point.id), point, connector, memory, now)
            for point in self._config.charge_point
            for connector in point.connectors
        }
        for identity, number in tested:
            id = f"{identity}/{number}"
            demands[id] = replace(demands[id], is_tested=True)
        for identity, number in self.undescribed(now):
            reading = stations[identity].connector(number).trusted_reading(now)
            demands[f"{identity}/{number}"] = ConnectorDemand(
                ConnectorState.CHARGING,
                power_w=reading.power_w if reading else None,
                current_a=reading.current_a if reading else None,
                controllable=False,
            )
        return demands

    def _demand(
        self,
        station: Station | None,
        point: ChargePointConfig,
        connector: ConnectorConfig,
        memory: Memory,
        now: datetime,
    ) -> ConnectorDemand:
        if station is None:
            return ConnectorDemand(ConnectorState.OFFLINE)
        live = station.connectors.get(connector.id)
        by_itself_a = self.safe_a[point.id, connector.id] if self._is_away(station, now) else None
        if live is None:
            state = ConnectorState.FREE if station.connected else ConnectorState.OFFLINE
            return ConnectorDemand(state, offered_a=by_itself_a)
        self._setpoints.verify(point.id, connector.id)
        id, transaction, reading = f"{point.id}/{connector.id}", live.transaction, _settled(live, now)
        session, is_limited = (
            str(transaction.id) if transaction else None,
            station.is_limited_at(connector.id),
        )
        offered_a = self._offered_a(point, connector, live) if is_limited else by_itself_a
        most_a = max(offered_a or 0.0, live.offered_a or 0.0)
        is_unanswered = self._is_unanswered(id, session, most_a, memory)
        wish = self._wishes.of(self._config.site.id, id)
        return ConnectorDemand(
            state=ConnectorState(live.state(now, connected=station.connected)),
            power_w=reading.power_w if reading else None,
            current_a=reading.current_a if reading else None,
            # unanswered: it may have taken the new limit all the same, or go on as before
            offered_a=most_a if is_unanswered else offered_a,
            session=session,
            delivered_wh=transaction.energy_wh if transaction else 0.0,
            departs_at=wish.departs_at,
            requested_wh=wish.requested_wh,
            controllable=self._setpoints.is_controllable(point.id, connector.id)
            if is_limited
            else not live.takes_unbooked(now),
            is_over=live.following.is_over,
            deaf=self._setpoints.is_deaf(point.id, connector.id),
            soc_percent=reading.soc_percent if reading else None,
            usual_phases=transaction.usual_phases if transaction else None,
            is_unanswered=is_unanswered,
        )

    def _offered_a(self, point: ChargePointConfig, connector: ConnectorConfig, live: LiveConnector) -> float:
        transaction_id = live.transaction.id if live.transaction else None
        offered_a = self._setpoints.offered_a(point.id, self.wiring(connector), transaction_id)
        return self.safe_a[point.id, connector.id] if offered_a is None else offered_a

    def _is_away(self, station: Station, now: datetime) -> bool:
        """Was it not connected for long? Then who plugs in there gets what it gives by itself."""
        if station.connected:
            self._away_since.pop(station.identity, None)
            return False
        return now - self._away_since.setdefault(station.identity, now) >= AWAY_AFTER

    def forget_absences(self) -> None:
        """The clock that timed them was set back."""
        self._away_since.clear()

    def _is_unanswered(self, id: str, session: str | None, offered_a: float, memory: Memory) -> bool:
        """Was the station told to give less than it does in this session, and has not accepted it?"""
        known = memory.connectors.get(id)
        if known is None or known.session != session:
            return False
        identity, _, number = id.rpartition("/")
        is_less = offered_a - known.limit_a >= WIRE_RESOLUTION_A
        return is_less and self._setpoints.is_unanswered(identity, int(number))


def _settled(live: LiveConnector, now: datetime) -> ConnectorReading | None:
    """What is measured since the last change of its limit has settled."""
    reading = live.trusted_reading(now)
    if reading is None or live.offered_at is None or live.offered_at > now:
        return reading
    return reading if reading.at >= live.offered_at + timedelta(seconds=SETTLE_S) else None
