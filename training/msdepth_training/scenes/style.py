"""Which kind of scenes: what is drawn, how far cameras vary, what their sensors do to an image."""

from __future__ import annotations

from dataclasses import dataclass

from msdepth_training.errors import TrainingError


@dataclass(frozen=True)
class SceneStyle:
    """Everything that distinguishes one kind of scenes from another, apart from the seed."""

    name: str
    version: int
    """Part of the name of files on disk: raise it when the same seed no longer gives the same images, or when more is
    stored beside them."""
    rich: bool = False
    """Streets of `streets.draw_street` (vehicles, houses, plants and terrain of many kinds) instead of boxes and balls
    on a plane."""
    varied_rigs: bool = False
    """Rigs of `layouts`, which look anywhere, instead of those around the MS2 vehicle's."""
    late_s: float = 0.0
    """How far apart the instants of a set's images may be, in half of the sets of training and validation scenes."""
    together: bool = False
    """Small things are cast together, which is faster where there are many."""
    own_body: bool = False
    """Some rigs of training scenes see a part of the own vehicle, see `own_body`."""
    optics: bool = False
    """Tone curves, vignetting, veil, bloom, sharpening and motion blur of `optics.py`, and a drifting fixed pattern."""


STREET = SceneStyle("street", version=2)
"""Boxes, ellipsoids and cylinders on a plane, quick to render: the sample drive, and what tiny 0.2.0 was trained on."""
RICH = SceneStyle(
    "rich",
    version=4,
    rich=True,
    together=True,
    varied_rigs=True,
    late_s=0.033,
    own_body=True,
    optics=True,
)
"""What a model needs to carry over to real images."""
STYLES: dict[str, SceneStyle] = {style.name: style for style in (STREET, RICH)}


def scene_style(name: str) -> SceneStyle:
    """The style of that name.

    Raises:
        TrainingError: there is none.
    """
    if name not in STYLES:
        raise TrainingError(f"unknown style of scenes {name!r}; choose one of {', '.join(STYLES)}")
    return STYLES[name]
