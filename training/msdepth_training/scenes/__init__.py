"""Procedural multi-spectral driving scenes with exact depth, rendered in all three bands from one geometry."""

from msdepth_training.scenes.conditions import CONDITIONS, Conditions
from msdepth_training.scenes.ground import plane_in_camera, road_plane
from msdepth_training.scenes.render import Frame, render_frame
from msdepth_training.scenes.rig import SceneRig, sample_rig
from msdepth_training.scenes.world import Scene, sample_scene

__all__ = [
    "CONDITIONS",
    "Conditions",
    "Frame",
    "Scene",
    "SceneRig",
    "plane_in_camera",
    "render_frame",
    "road_plane",
    "sample_rig",
    "sample_scene",
]
