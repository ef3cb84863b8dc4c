"""What the curves of every report are made of."""

from __future__ import annotations

import numpy as np

from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.report.figures import KEY_COLOURS, SPECTRUM_COLOURS, Columns, Curve, Row, Spans, by_key, stacked


def test_points_have_the_colour_of_their_combination_wherever_they_are() -> None:
    curves = by_key([0, 1, 2, 3], [0.1, None, 0.3, 0.4], ["rgb", "rgb+nir+thermal", "rgb", "nir+thermal"])
    assert [curve.name for curve in curves] == ["rgb+nir+thermal", "nir+thermal", "rgb"]
    assert [curve.colour for curve in curves] == [KEY_COLOURS[curve.name] for curve in curves]
    assert (curves[2].x, curves[2].y) == ([0, 2], [0.1, 0.3])
    assert all(KEY_COLOURS[name] == SPECTRUM_COLOURS[name] for name in SPECTRA)
    assert len(set(KEY_COLOURS.values())) == len(KEY_COLOURS) == 7


def test_rows_share_their_x_axis_and_keep_their_own_legends() -> None:
    curve = Curve("one", "#123456", [0, 1], [0.5, None])
    figure = stacked([Row("First", [curve], height_px=100), Row("Second, m", [curve], limits=(0, 1))], "time, s")
    assert [trace.legend for trace in figure.data] == ["legend", "legend2"]
    assert figure.layout.xaxis.matches == "x2" and figure.layout.xaxis2.title.text == "time, s"
    assert figure.layout.yaxis2.range == (0, 1)
    assert [note.text for note in figure.layout.annotations] == ["First", "Second, m"]
    first, second = figure.layout.yaxis.domain, figure.layout.yaxis2.domain
    assert first[0] > second[1]
    assert (first[1] - first[0]) / (second[1] - second[0]) == np.float64(100 / 150)
    assert np.isnan(figure.data[0].y[1])


def test_lanes_run_from_top_to_bottom_and_trouble_is_not_told_by_colour_alone() -> None:
    spans = [Spans("rgb", "in all sets", "#0000ff", [(0, 1)]), Spans("rgb", "black", "#ffff00", [(1, 3)], hatched=True)]
    figure = stacked([Row("Lanes", (), spans, lanes=SPECTRA)], "s")
    assert figure.layout.yaxis.categoryarray == tuple(reversed(SPECTRA))
    plain, trouble = figure.data
    assert plain.marker.pattern.shape is None and not plain.showlegend
    assert trouble.marker.pattern.shape == "/" and trouble.showlegend
    assert (trouble.base, trouble.x, trouble.name) == ((1,), (2,), "rgb black")


def test_upright_bars_stand_beside_each_other() -> None:
    rows = [Row("Bars", columns=[Columns("a", "#111111", ["near", "far"], [1.0, None]),
                                 Columns("b", "#222222", ["near", "far"], [2.0, 3.0])])]  # fmt: skip
    figure = stacked(rows, "distance")
    assert figure.layout.barmode == "group"
    assert [trace.name for trace in figure.data] == ["a", "b"]
