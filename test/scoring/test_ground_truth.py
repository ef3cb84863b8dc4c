"""Ground truth of every kind, on the pixels where the depth is scored; topics and calibration of recordings."""

from __future__ import annotations

import struct
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bags
import cv2
import drives
import numpy as np
import pytest

from msdepth_ros.bags.bag import Bag
from msdepth_ros.bags.calibration import Calibration, load_calibration
from msdepth_ros.bags.topics import find_sources
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.scoring.ground_truth import Truth, TruthReader, decode_depth

FRAMES = drives.camera_frames()
DEPTH_M = np.linspace(2.0, 20.0, 12, dtype=np.float32).reshape(3, 4)
NETWORK = (64, 32)


def compressed_depth(metres: np.ndarray, scale: float, offset: float) -> Any:
    """A compressedDepth message of floating depth, as its transport makes it."""
    levels = np.where(metres > 0, scale / np.maximum(metres, 1e-3) + offset, 0).astype(np.uint16)
    png = cv2.imencode(".png", levels)[1].tobytes()
    data = np.frombuffer(struct.pack("<iff", 0, scale, offset) + png, np.uint8)
    return SimpleNamespace(format="32FC1; compressedDepth png", data=data)


def test_depth_comes_out_in_metres_whatever_the_encoding() -> None:
    millimetres = (DEPTH_M * 1000).astype(np.uint16)
    raw = drives.raw_image(0, "f", DEPTH_M, "32FC1")
    raw_mm = drives.raw_image(0, "f", millimetres, "16UC1")
    png = drives.compressed_image(0, "f", millimetres, "png")
    wrapped = struct.pack("<iff", 0, 0.0, 0.0) + cv2.imencode(".png", millimetres)[1].tobytes()
    by_transport = SimpleNamespace(format="16UC1; compressedDepth", data=np.frombuffer(wrapped, np.uint8))
    for message in (raw, raw_mm, png, by_transport):
        assert decode_depth("/truth", message) == pytest.approx(DEPTH_M, abs=1e-3)


def test_floating_compressed_depth_is_quantised_by_its_inverse() -> None:
    metres = DEPTH_M.copy()
    metres[0, 0] = 0.0
    decoded = decode_depth("/truth", compressed_depth(metres, scale=10_000.0, offset=5.0))
    assert np.isnan(decoded[0, 0])
    assert decoded.ravel()[1:] == pytest.approx(DEPTH_M.ravel()[1:], rel=0.003)


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (drives.compressed_image(0, "f", drives.noise("rgb", 0), "png"), "depth must be 32FC1"),
        (SimpleNamespace(format="32FC1; compressedDepth rvl", data=b"\0" * 40), "as png"),
        (SimpleNamespace(format="16UC1; compressedDepth", data=b"\0" * 5), "5 bytes"),
    ],
)
def test_what_is_no_depth_image_is_refused_by_topic(message: Any, reason: str) -> None:
    with pytest.raises(MsdepthError, match=f"/truth: .*{reason}"):
        decode_depth("/truth", message)


def open_truth(folder: Path, drive: drives.Drive, *, reference: str = "rgb", topic: str | None = None) -> Truth:
    """The first truth of a recording."""
    path = drive.write(folder / "bag")
    with Bag(path) as bag:
        sources = find_sources(bag, ground_truth=topic)
        assert sources.truth is not None
        calibration = load_calibration(bag, sources, reference, None)
        views = calibration.rig.views(*NETWORK, reference)
        return TruthReader(bag, sources.truth, calibration, views).read(
            next(bag.messages([sources.truth.image])).message
        )


def test_depth_of_the_reference_keeps_its_own_pixels(tmp_path: Path) -> None:
    drive = drives.Drive().add_cameras(1).add_truth(1).add_transforms(FRAMES)
    truth = open_truth(tmp_path, drive)
    assert truth.depth_m == pytest.approx(drives.plane_mm() / 1000)
    columns = np.tile(np.arange(NETWORK[0], dtype=np.float32), (NETWORK[1], 1))
    # The truth's camera has half the size: its pixel u lies between the network's pixels 2 u and 2 u + 1.
    assert truth.sample(columns)[0] == pytest.approx(2 * np.arange(32) + 0.5, abs=0.5)


def test_depth_of_another_camera_is_projected_into_the_reference(tmp_path: Path) -> None:
    drive = drives.Drive().add_cameras(1).add_transforms(FRAMES)
    width, height = bags.SIZES["nir"]
    wall = drives.raw_image(bags.START_NS, "nir_optical_frame", np.full((height, width), 5.0, np.float32), "32FC1")
    drive.add("/nir/depth", bags.IMAGE, wall, bags.START_NS)
    truth = open_truth(tmp_path, drive, topic="/nir/depth")
    known = np.isfinite(truth.depth_m)
    assert truth.depth_m.shape == NETWORK[::-1]
    assert truth.maps is None
    assert truth.depth_m[known] == pytest.approx(5.0)
    # 0.1 m beside the reference, at 5 m and with a focal length of 64 px: the left 1.28 px have no truth.
    assert np.flatnonzero(known.any(axis=0)).min() in (1, 2)
    assert known.mean() > 0.4


def test_a_point_cloud_is_placed_by_tf(tmp_path: Path) -> None:
    drive = drives.Drive().add_cameras(1).add_transforms({**FRAMES, "lidar": (0.0, 0.0, -2.0)})
    cloud = drives.points_message(np.array([[0.0, 0.0, 12.0]]), "lidar")
    drive.add("/ground_truth/points", drives.POINTS, cloud, bags.START_NS)
    truth = open_truth(tmp_path, drive)
    rows, columns = np.nonzero(np.isfinite(truth.depth_m))
    assert (rows.tolist(), columns.tolist()) == ([16], [32])
    assert truth.depth_m[16, 32] == pytest.approx(10.0)


def test_a_truth_that_is_nowhere_is_explained(tmp_path: Path) -> None:
    drive = drives.Drive().add_cameras(1).add_transforms(FRAMES)
    drive.add("/ground_truth/points", drives.POINTS, drives.points_message(np.ones((1, 3)), "moon"), bags.START_NS)
    with pytest.raises(
        MsdepthError, match=r"/ground_truth/points: nothing says where frame 'moon' is.*known are base_link"
    ):
        open_truth(tmp_path, drive)


def test_a_depth_image_of_unknown_size_needs_its_camera_info(tmp_path: Path) -> None:
    drive = drives.Drive().add_cameras(1).add_transforms(FRAMES)
    image = drives.raw_image(bags.START_NS, "rgb_optical_frame", DEPTH_M, "32FC1")
    drive.add("/depth", bags.IMAGE, image, bags.START_NS)
    with pytest.raises(MsdepthError, match=r"topic /depth: images are 4 x 3, .* is for 64 x 32"):
        open_truth(tmp_path, drive, topic="/depth")


def calibration_of(path: Path, reference: str = "rgb", rig_file: Path | None = None) -> Calibration:
    with Bag(path) as bag:
        return load_calibration(bag, find_sources(bag), reference, rig_file)


def test_poses_come_from_tf_static_of_the_recording(tmp_path: Path) -> None:
    path = drives.Drive().add_cameras(1).add_transforms(FRAMES).write(tmp_path / "bag")
    calibration = calibration_of(path)
    expected = drives.rig()
    for name in drives.SPECTRA:
        assert calibration.rig.cameras[name] == expected.cameras[name]
        assert calibration.rig.view_from_reference(name, "rgb") == pytest.approx(
            expected.view_from_reference(name, "rgb")
        )
    assert calibration.origin == "/tf_static"


def test_a_rig_file_goes_before_tf_and_a_rig_beside_the_recording_comes_last(tmp_path: Path) -> None:
    far = {name: (10 * place[0], 0.0, 0.0) for name, place in FRAMES.items()}
    path = drives.Drive().add_cameras(1).add_transforms(far).write(tmp_path / "bag")
    drives.rig().save(path / "rig.yaml")
    assert calibration_of(path).rig.view_from_reference("nir", "rgb")[0, 3] == pytest.approx(-1.0)
    given = calibration_of(path, rig_file=path / "rig.yaml")
    assert given.rig.view_from_reference("nir", "rgb")[0, 3] == pytest.approx(-0.1)
    without = drives.Drive().add_cameras(1).write(tmp_path / "without")
    drives.rig().save(without / "rig.yaml")
    assert calibration_of(without).origin == str(without / "rig.yaml")


def test_a_camera_without_a_pose_or_intrinsics_is_named_with_what_to_do(tmp_path: Path) -> None:
    some = {name: place for name, place in FRAMES.items() if "thermal" not in name}
    path = drives.Drive().add_cameras(1).add_transforms(some).write(tmp_path / "bag")
    with pytest.raises(MsdepthError, match=r"no transform between rgb .* and thermal .*--drop thermal"):
        calibration_of(path)
    bare = drives.Drive().add_cameras(1)
    bare.messages = [entry for entry in bare.messages if entry[1] != "/nir/camera_info"]
    with pytest.raises(MsdepthError, match=r"no camera_info of nir; .*--camera-info nir=TOPIC"):
        calibration_of(bare.write(tmp_path / "bare"))


def test_a_reference_without_images_needs_only_its_calibration(tmp_path: Path) -> None:
    drive = drives.Drive().add_cameras(1, ("nir", "thermal")).add_transforms(FRAMES)
    info = drives.camera_info(bags.START_NS, "rgb_optical_frame", bags.SIZES["rgb"])
    drive.add("/rgb/camera_info", bags.INFO, info, bags.START_NS)
    calibration = calibration_of(drive.write(tmp_path / "bag"))
    assert list(calibration.rig.cameras) == ["nir", "thermal", "rgb"]


def sources_of(folder: Path, *topics: tuple[str, str], **options: Any) -> Any:
    drive = drives.Drive()
    messages = {
        bags.IMAGE: drives.raw_image(0, "f", drives.noise("nir", 0), "mono8"),
        bags.COMPRESSED: drives.compressed_image(0, "f", drives.noise("nir", 0), "png"),
        bags.INFO: drives.camera_info(0, "f", bags.SIZES["nir"]),
    }
    for topic, kind in topics:
        drive.add(topic, kind, messages[kind], 1)
    with Bag(drive.write(folder / "bag")) as bag:
        return find_sources(bag, **options)


def test_topics_are_found_by_the_names_of_their_segments(tmp_path: Path) -> None:
    found = sources_of(
        tmp_path,
        ("/front/rgb/image_raw", bags.IMAGE), ("/front/rgb/image_raw/compressed", bags.COMPRESSED),
        ("/front/rgb/image_rect", bags.IMAGE), ("/front/rgb/camera_info", bags.INFO),
        ("/flir_thermal/image", bags.IMAGE), ("/fused_depth/confidence/nir", bags.IMAGE), ("/other", bags.IMAGE),
    )  # fmt: skip
    assert found.cameras == {
        "rgb": ("/front/rgb/image_raw", "/front/rgb/camera_info"),
        "thermal": ("/flir_thermal/image", ""),
    }
    assert found.truth is None


def test_two_cameras_of_one_spectrum_must_be_told_apart(tmp_path: Path) -> None:
    topics = (("/left/rgb/image", bags.IMAGE), ("/right/rgb/image", bags.IMAGE))
    with pytest.raises(MsdepthError, match=r"/left/rgb/image, /right/rgb/image; choose one with --topic rgb=TOPIC"):
        sources_of(tmp_path, *topics)
    (tmp_path / "b").mkdir()
    assert (
        sources_of(tmp_path / "b", *topics, images={"rgb": "/right/rgb/image"}).cameras["rgb"][0] == "/right/rgb/image"
    )


def test_a_recording_without_cameras_says_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(
        MsdepthError, match=r"no image topic named after rgb, nir, thermal; it holds /cam/image \(sensor_msgs"
    ):
        sources_of(tmp_path, ("/cam/image", bags.IMAGE))
