"""The RViz configuration shows what the node takes and gives."""

from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
SPECTRA = ("rgb", "nir", "thermal")


def displays() -> list[dict[str, Any]]:
    document = yaml.safe_load((ROOT / "rviz" / "fused_depth.rviz").read_text(encoding="utf-8"))
    manager = document["Visualization Manager"]
    assert manager["Global Options"]["Fixed Frame"] == "rgb_optical_frame"
    return manager["Displays"]


def test_every_display_is_of_a_plugin_that_rviz2_ships() -> None:
    assert {display["Class"] for display in displays()} == {
        f"rviz_default_plugins/{name}" for name in ("Image", "DepthCloud", "TF", "Grid")
    }


def test_images_are_the_inputs_and_outputs_with_qos_that_matches() -> None:
    images = {one["Topic"]["Value"]: one for one in displays() if one["Class"].endswith("/Image")}
    inputs = {f"/{spectrum}/image" for spectrum in SPECTRA}
    outputs = {f"/fused_depth/{topic}" for topic in ("depth/image_color", "depth/confidence")}
    outputs |= {f"/fused_depth/confidence/{spectrum}" for spectrum in SPECTRA}
    assert set(images) == inputs | outputs
    for topic, image in images.items():
        assert image["Topic"]["Reliability Policy"] == ("Best Effort" if topic in inputs else "Reliable")
        assert image["Normalize Range"] == ("confidence" not in topic)  # a confidence is shown from 0 to 1


def test_the_cloud_is_the_depth_in_its_colours() -> None:
    cloud = next(display for display in displays() if display["Class"].endswith("/DepthCloud"))
    assert cloud["Depth Map Topic"] == "/fused_depth/depth/image"
    assert cloud["Color Image Topic"] == "/fused_depth/depth/image_color"
