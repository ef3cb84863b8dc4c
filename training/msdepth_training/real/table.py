"""The numbers of real frames on a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COLUMNS = (
    ("mean", "rho", "   rho"), ("mean", "abs_rel", " AbsRel"), ("mean", "delta", " delta"),
    ("mean", "scaled", " scaled"), ("obstacles", "over_1_25", " >1.25"), ("obstacles", "over_1_5", "  >1.5"),
    ("obstacles", "over_2", "    >2"), ("confidence", "mean", "  conf"), ("confidence", "right", " right"),
    ("mean", "window", "  seen"),
)  # fmt: skip
"""Part, number and heading, which is as wide as its column."""
NAME_WIDTH = 18


def table(result: Mapping[str, Any]) -> str:
    """Everything of `measure` but single frames."""
    size = f"{result['height']} x {result['width']}"
    lines = [result["model"][-80:], f"{size}, RGB alone, unscaled, 1 to 80 m", _head()]
    lines += _rows(result, cameras=True)
    if result["with_ground_plane"]:
        lines += ["", "with the plane of the road", *_rows(result["with_ground_plane"])]
    for name, found in result["baselines"].items():
        lines += ["", f"baseline: {name.replace('_', ' ')}", *_rows(found)]
    for title, found in (("", result), (", with the plane of the road", result["with_ground_plane"])):
        if found and found["ms2"]:
            lines += ["", f"cameras alone and together{title}: AbsRel (rho)", *_camera_rows(found["ms2"])]
    lines += [
        "", ">1.25 >1.5 >2: obstacles (0.4 to 2.5 m above the road, 3 to 20 m away) predicted",
        "so many times too far. conf: mean confidence; right: the share within 1.25.",
        "seen: share of the reference in the network's window; the rest is not scored.",
    ]  # fmt: skip
    return "\n".join(lines)


def _head() -> str:
    return " " * NAME_WIDTH + "".join(heading for *_, heading in COLUMNS)


def _rows(found: Mapping[str, Any], *, cameras: bool = False) -> list[str]:
    if not found.get("sets"):
        return ["  needs frames of more than one set, or their plane of the road"]
    lines = [_row("mean over sets", found)]
    for name, branch in found["sets"].items():
        lines.append(_row(f"{name} ({branch['count']})", branch))
        if cameras and len(branch["cameras"]) > 1:
            lines += [_row(f"  {camera}", values) for camera, values in branch["cameras"].items()]
    return lines


def _row(title: str, values: Mapping[str, Any]) -> str:
    cells = (f"{_cell(values.get(part, {}).get(name)):>{len(heading)}}" for part, name, heading in COLUMNS)
    return f"{title:<{NAME_WIDTH}.{NAME_WIDTH}}{''.join(cells)}"


def _cell(value: float | None) -> str:
    """Three digits, without the zero before the point."""
    if value is None:
        return "-"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}".replace("0.", ".", 1)


def _camera_rows(found: Mapping[str, Any]) -> list[str]:
    given = list(next(iter(found["frames"].values())))
    lines = [f"{'in the frame of':<{NAME_WIDTH}}" + "".join(f"{name:>14}" for name in given)]
    for reference, row in found["frames"].items():
        cells = "".join(f"{row[name]['abs_rel']:>7.3f} ({row[name]['rho']:.2f})" for name in given)
        lines.append(f"{reference:<{NAME_WIDTH}}{cells}")
    best = found["best_alone"]["spectrum"]
    return [*lines, f"in the frame of rgb: fused over the best alone ({best}) {found['ratio']:.3f}"]
