"""Prometheus metrics, read from the services at the moment they are asked for."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from csms.services.bundle import Services

POWERS = ("grid_w", "pv_w", "battery_w", "house_w", "controlled_w", "surplus_w")


class ServicesCollector(Collector):
    def __init__(self, services: Services) -> None:
        self._services = services

    def collect(self) -> Iterator[Metric]:
        yield from self._stations()
        yield from self._messages()
        yield from self._sites()

    def _stations(self) -> Iterator[Metric]:
        stations = self._services.charge_points.stations()
        yield GaugeMetricFamily("csms_stations", "Stations that ever came", value=len(stations))
        connected = sum(station.connected for station in stations)
        yield GaugeMetricFamily(
            "csms_stations_connected", "Stations with an open connection", value=connected
        )
        charging = sum(
            connector.transaction is not None
            for station in stations
            for connector in station.connectors.values()
        )
        yield GaugeMetricFamily("csms_transactions_open", "Transactions that run", value=charging)
        quirks = CounterMetricFamily(
            "csms_station_quirks", "Deviations from OCPP that were repaired", labels=["charge_point", "kind"]
        )
        for station in stations:
            for kind, count in station.quirks.items():
                quirks.add_metric([station.identity, kind], count)
        yield quirks
        yield from self._limits()

    def _limits(self) -> Iterator[Metric]:
        writes = GaugeMetricFamily(
            "csms_profile_writes_today",
            "Charging profiles that the station has accepted on this day (UTC)",
            labels=["charge_point"],
        )
        controllable = GaugeMetricFamily(
            "csms_station_controllable", "0 = takes no limit in any way", labels=["charge_point"]
        )
        for site in self._services.sites.all():
            for point in site.charge_point:
                if self._services.charge_points.is_known(point.id):
                    status = self._services.limits.status(point.id)
                    writes.add_metric([point.id], status.writes_today)
                    controllable.add_metric([point.id], float(status.state != "not_controllable"))
        yield from (writes, controllable)

    def _messages(self) -> Iterator[Metric]:
        counts = CounterMetricFamily(
            "csms_messages", "OCPP frames, both directions", labels=["direction", "action"]
        )
        for (direction, action), count in self._services.frames.counts.items():
            counts.add_metric([direction, action], count)
        yield counts

    def _sites(self) -> Iterator[Metric]:
        now = self._services.clock.now()
        powers = GaugeMetricFamily(
            "csms_site_power_watts", "+ drawn or consumed, - exported or produced", labels=["site", "kind"]
        )
        ages = GaugeMetricFamily(
            "csms_site_decision_age_seconds", "Since the site's last decision", labels=["site"]
        )
        devices = GaugeMetricFamily("csms_device_ok", "1 = answers", labels=["site", "kind", "device"])
        for site in self._services.sites.all():
            snapshot = self._services.live.get(site.site.id)
            if snapshot is None:
                continue
            for name in POWERS:
                if (power_w := getattr(snapshot, name)) is not None:
                    powers.add_metric([site.site.id, name.removesuffix("_w")], power_w)
            ages.add_metric([site.site.id], (now - snapshot.at).total_seconds())
            for device in snapshot.devices:
                devices.add_metric([site.site.id, device.kind, device.id], float(device.ok))
        yield from (powers, ages, devices)
        yield from self._lines()

    def _lines(self) -> Iterator[Metric]:
        """Each line once, though two sites may hang on it."""
        lines = {
            line.address: line
            for site in self._services.sites.all()
            if (snapshot := self._services.live.get(site.site.id)) is not None
            for line in snapshot.lines
        }
        share = GaugeMetricFamily(
            "csms_line_share", "Share of a Modbus line's time in use, last minute", labels=["line"]
        )
        requests = CounterMetricFamily("csms_line_requests", "Questions on a Modbus line", labels=["line"])
        errors = CounterMetricFamily("csms_line_errors", "Questions without a good answer", labels=["line"])
        absent = GaugeMetricFamily("csms_line_units_absent", "Units that do not answer", labels=["line"])
        for address, line in sorted(lines.items()):
            share.add_metric([address], line.share)
            requests.add_metric([address], line.requests)
            errors.add_metric([address], line.errors)
            absent.add_metric([address], sum(unit.is_absent for unit in line.units))
        yield from (share, requests, errors, absent)
