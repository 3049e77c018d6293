"""The report's drawings: round scales, and shapes that say what the numbers say."""

from __future__ import annotations

import re

import numpy as np
import pytest

from simulation.report_charts import Layer, columns, day_chart, legend, scale_for, share_bar, strip


@pytest.mark.parametrize(
    ("highest", "lowest", "ticks"),
    [
        (18.2, 0, (0, 5, 10, 15, 20)),
        (13.4, -36, (-40, -30, -20, -10, 0, 10, 20)),
        (0.93, 0, (0, 0.2, 0.4, 0.6, 0.8, 1.0)),
        (100, 0, (0, 20, 40, 60, 80, 100)),
    ],
)
def test_a_scale_has_round_lines_around_all_values(
    highest: float, lowest: float, ticks: tuple[float, ...]
) -> None:
    scale = scale_for(highest, lowest)
    assert scale.ticks == pytest.approx(ticks)
    assert (scale.y(scale.top), scale.y(scale.bottom)) == (0, 1000)


def test_days_without_any_power_can_be_drawn() -> None:
    nothing = Layer("house", "house", np.zeros(4))
    page = day_chart("dark", [nothing], [], scale_for(0.0))
    page += columns("dark", ["1 Jun"] * 4, [nothing], [], "kWh")
    assert "nan" not in page
    assert "inf" not in page
    assert share_bar([("house", "house", 0.0)], 0.0) == '<div class="bar"></div>'


def test_layers_lie_on_each_other() -> None:
    two = [Layer("house", "house", np.array([1.0, 1.0])), Layer("loads", "loads", np.array([3.0, 1.0]))]
    page = day_chart("two", two, [], scale_for(4.0))
    house, loads = (re.search(f'class="{tone}" d="([^"]+)"', page) for tone in ("house", "loads"))
    assert house is not None
    assert loads is not None
    assert house[1].startswith("M0.0 750.0 250.0 750.0 750.0 750.0")
    assert loads[1].startswith("M0.0 0.0 250.0 0.0 750.0 500.0")


def test_a_field_draws_each_run_of_equal_power_once() -> None:
    field = strip("boiler", np.array([[0, 1, 1, 0.5], [0, 0, 0, 0]]), "n0", 1)
    assert re.findall(r'opacity="([\d.]+)" d="([^"]+)"', field) == [
        ("0.6", "M3 0h1v1h-1z"),
        ("1", "M1 0h2v1h-2z"),
    ]


def test_names_cannot_break_the_page() -> None:
    assert "<b>" not in legend([("n0", "<b>Boiler</b>")])
    assert "<i>" not in strip("<i>", np.zeros((1, 1)), "n0", 1)
