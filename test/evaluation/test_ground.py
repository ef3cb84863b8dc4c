"""evaluate and info know the road from a rig file, a height, or a frame of the recording."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import drives
import numpy as np
import pytest
import yaml

pytest.importorskip("pyarrow", reason="evaluate needs the extra [report]")


from bags import START_NS, TYPES, header

import models
from msdepth_ros import cli
from msdepth_ros.bags.bag import Bag
from msdepth_ros.core.camera.ground import GroundPlane, level_normal

INSTANTS = 3
NORMAL = level_normal(6.0, 2.0)


class Workplace:
    """A recording with a rig beside it, and two models, of which the second is told where the road is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.models = [models.toy_model(folder / f"toy_{n}.onnx", added_m=9.0, contract=n) for n in (1, 2)]
        self.bag = drives.write_drive(folder / "drive", INSTANTS)

    def depth_m(self, contract: int, *arguments: str, bag: Path | None = None) -> np.ndarray:
        """The mean of the depth that evaluate publishes, [sets]."""
        out = self.folder / f"out_{len(list(self.folder.glob('out_*')))}"
        assert self.run(contract, *arguments, "--write-bag", bag=bag, out=out) == 0
        with Bag(out / "bags" / (bag or self.bag).name) as written:
            images = [payload.message for payload in written.messages(["/fused_depth/depth/image"])]
        return np.array([np.frombuffer(bytes(image.data), np.float32).mean() for image in images])

    def run(self, contract: int, *arguments: str, bag: Path | None = None, out: Path | None = None) -> int:
        model, out = self.models[contract - 1], out or self.folder / "out"
        return cli.main(["evaluate", str(bag or self.bag), "--model", str(model), "--out", str(out), *arguments])

    def parameters(self, **values: Any) -> str:
        path = self.folder / "params.yaml"
        tree = {"/**/fused_depth": {"ros__parameters": {"ground": values}}}
        path.write_text(yaml.safe_dump(tree))
        return str(path)


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    return Workplace(tmp_path)


def added_m(plane: Any) -> float:
    return float(np.dot(models.PLANE_WEIGHTS, plane))


def test_by_the_rig_file_beside_the_recording_for_models_that_take_it(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    before = workplace.depth_m(2)
    np.testing.assert_allclose(before, workplace.depth_m(1), atol=1e-5)
    road = GroundPlane("nir", NORMAL, 1.5, "")
    dataclasses.replace(drives.rig(), ground=road).save(workplace.bag / "rig.yaml")
    capsys.readouterr()
    after = workplace.depth_m(2)
    height_m = 1.5 + NORMAL[0] * drives.BASELINE_M  # nir stands to the right of rgb, and right is lower
    np.testing.assert_allclose(after - before, added_m((*NORMAL, height_m)), atol=1e-4)
    assert "the road is 1.50 m below the rgb camera" in capsys.readouterr().out
    np.testing.assert_allclose(workplace.depth_m(1), before, atol=1e-5)


def test_by_a_height_of_a_parameter_file_which_goes_before_the_rig(workplace: Workplace) -> None:
    before = workplace.depth_m(2)
    dataclasses.replace(drives.rig(), ground=GroundPlane("rgb", (0.0, 1.0, 0.0), 2.0, "")).save(
        workplace.bag / "rig.yaml"
    )
    after = workplace.depth_m(2, "--params", workplace.parameters(height_m=1.5, pitch_deg=6.0, roll_deg=2.0))
    np.testing.assert_allclose(after - before, added_m((*NORMAL, 1.5)), atol=1e-4)


def add_road(drive: drives.Drive, quaternion: tuple[float, float, float, float], y_m: float = 1.5) -> drives.Drive:
    """Adds base_footprint on /tf_static, below the cameras, which look along their z axes."""
    types = TYPES.types
    stamped = types["geometry_msgs/msg/TransformStamped"](
        header=header(START_NS, "rgb_optical_frame"), child_frame_id="base_footprint",
        transform=types["geometry_msgs/msg/Transform"](
            translation=types["geometry_msgs/msg/Vector3"](0.0, y_m, 0.0),
            rotation=types["geometry_msgs/msg/Quaternion"](*quaternion),
        ),
    )  # fmt: skip
    drive.add("/tf_static", drives.TF, types[drives.TF](transforms=[stamped]), START_NS)
    return drive


def recorded(folder: Path, **road: Any) -> Path:
    """A recording whose poses, and the road, are on /tf_static."""
    drive = drives.Drive().add_cameras(INSTANTS).add_truth(INSTANTS).add_transforms(drives.camera_frames())
    return (add_road(drive, **road) if road else drive).write(folder)


Z_UP = (0.5, -0.5, 0.5, 0.5)
"""A body frame (x ahead, y left, z up) as an optical frame sees it: its z axis is the camera's -y."""


def test_by_a_frame_of_the_recording(workplace: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bag = recorded(tmp_path / "tf", quaternion=Z_UP)
    parameters = workplace.parameters(frame="base_footprint")
    before = workplace.depth_m(2, bag=bag)
    after = workplace.depth_m(2, "--params", parameters, bag=bag)
    np.testing.assert_allclose(after - before, added_m((0, 1, 0, 1.5)), atol=1e-4)
    capsys.readouterr()
    assert cli.main(["info", str(bag), "--params", parameters, "--model", str(workplace.models[1])]) == 0
    told = "road: 1.50 m below the rgb camera, normal 0.000 1.000 0.000, from ground.frame base_footprint"
    assert told in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(
    ("road", "complaint"),
    [
        ({}, "ground.frame base_footprint: nothing on /tf_static of the recording connects it with the rgb camera; it "
         "knows base_link, nir_optical_frame"),
        ({"quaternion": (-0.5, 0.5, 0.5, 0.5)}, "does not point down"),  # z down, as some marine frames have it
        ({"quaternion": Z_UP, "y_m": -0.5}, "the camera is -0.5 m above it; it must be more than 0"),
        ({"quaternion": (0.0, 0.0, 0.0, 1.0)}, "ground plane of the rgb camera: its normal"),
    ],
)  # fmt: skip
def test_a_frame_that_is_no_road_is_refused(
    workplace: Workplace, tmp_path: Path, capsys: pytest.CaptureFixture[str], road: Any, complaint: str
) -> None:
    bag = recorded(tmp_path / "tf", **road)
    assert workplace.run(2, "--params", workplace.parameters(frame="base_footprint"), bag=bag) == 2
    error = capsys.readouterr().err
    assert complaint in error and "ground.frame base_footprint" in error and "Traceback" not in error


def test_info_says_whether_the_road_is_known(workplace: Workplace, capsys: pytest.CaptureFixture[str]) -> None:
    def road(contract: int) -> str:
        assert cli.main(["info", "--json", str(workplace.bag), "--model", str(workplace.models[contract - 1])]) == 0
        return str(json.loads(capsys.readouterr().out)["ground"])

    assert road(2) == "unknown"
    file = workplace.bag / "rig.yaml"
    dataclasses.replace(drives.rig(), ground=GroundPlane("rgb", (0.0, 1.0, 0.0), 1.5, "")).save(file)
    assert road(2) == f"1.50 m below the rgb camera, normal 0.000 1.000 0.000, from {file}"
    assert road(1).endswith("; a model of contract 1 takes none")
    file.write_text(file.read_text().replace("height_m: 1.5", "height_m: 15"))
    assert cli.main(["info", str(workplace.bag), "--model", str(workplace.models[1])]) == 1
    assert f"{file}: ground plane of the rgb camera: the camera is 15 m above it" in capsys.readouterr().out
