"""The node on real ROS: lifecycle, what it publishes for which cameras, and what it does with bad input."""

import importlib.util
import threading
import time
from array import array
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: pip install 'msdepth_ros[ros]' or source ROS 2")

from rclpy.lifecycle import TransitionCallbackReturn
from sensor_msgs.msg import CompressedImage, Image

from msdepth_ros.core.camera.frames import NoFrames
from msdepth_ros.core.camera.images import decode_image
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.ros.messages import stamp_to_ns

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
STAMP_NS = 1_700_000_000_000_000_000
PERIOD_NS = 100_000_000
CONFIDENCES = ("confidence/rgb", "confidence/nir", "confidence/thermal")
ALL = ("rgb", "nir", "thermal")


class Nearby:
    """Poses of a vehicle whose thermal camera nobody has measured."""

    def __init__(self, node: Any) -> None:
        pass

    def view_from_reference(self, view: str, reference: str, frames: dict[str, str]) -> np.ndarray:
        if view == "thermal":
            raise MsdepthError("no transform to thermal")
        return np.eye(4)

    def close(self) -> None:
        pass

    def known_frames(self) -> NoFrames:
        return NoFrames()


def send_set(bench: Any, number: int, *spectra: str) -> int:
    """Publishes one image of each camera, thermal 15 ms after the others; returns the stamp of the others."""
    stamp_ns = STAMP_NS + number * PERIOD_NS
    for spectrum in spectra:
        bench.send(spectrum, stamp_ns + (15_000_000 if spectrum == "thermal" else 0))
    return stamp_ns


def outputs_at(bench: Any, stamp_ns: int) -> dict[str, Any]:
    """What was received with this stamp, by topic."""
    return {
        topic: message
        for topic, messages in bench.received.items()
        for message in messages
        if stamp_to_ns(message.header.stamp) == stamp_ns
    }


def answer(bench: Any, number: int, *spectra: str) -> dict[str, Any]:
    """Publishes a set; waits for all outputs with its stamp: the reference's or, without rgb, the earliest."""
    stamp_ns = send_set(bench, number, *spectra)
    stamp_ns += 15_000_000 if spectra == ("thermal",) else 0
    bench.until(lambda: len(outputs_at(bench, stamp_ns)) == len(bench.received))
    return outputs_at(bench, stamp_ns)


def depth_of(bench: Any, number: int, *spectra: str) -> np.ndarray:
    """Publishes a set and returns its depth, metres."""
    return decode_image(answer(bench, number, *spectra)["depth/image"]).pixels


def meet(bench: Any) -> None:
    """Lets the node learn that there are three cameras: until it has heard all, a set of fewer counts as complete."""
    bench.connect(*ALL)
    send_set(bench, -3, *ALL)
    bench.spin(0.3)
    answer(bench, -2, *ALL)
    answer(bench, -1, *ALL)
    for messages in bench.received.values():
        messages.clear()


def test_publishes_depth_as_the_design_says(bench: Any) -> None:
    bench.start()
    bench.listen("depth/image", "depth/camera_info", "depth/confidence", "depth/image_color", *CONFIDENCES)
    meet(bench)
    outputs = answer(bench, 0, *ALL)
    for message in outputs.values():
        assert message.header.frame_id == "rgb_optical_frame"
        assert (message.width, message.height) == (640, 256)
    depth_m = decode_image(outputs["depth/image"]).pixels
    assert outputs["depth/image"].encoding == "32FC1"
    assert not (depth_m == 0.0).any()
    for topic in ("depth/confidence", *CONFIDENCES):
        confidence = decode_image(outputs[topic]).pixels
        assert outputs[topic].encoding == "32FC1"
        assert confidence.min() >= 0.0
        assert confidence.max() <= 1.0
    assert outputs["depth/image_color"].encoding == "rgb8"
    k = np.reshape(outputs["depth/camera_info"].k, (3, 3))
    assert k[0, 0] == pytest.approx(400.0)  # 160 px wide with fx 100, shown 640 px wide


def test_goes_on_while_cameras_come_and_go(bench: Any) -> None:
    bench.start()
    bench.listen("depth/image", *CONFIDENCES)
    meet(bench)
    subsets = [ALL, ("nir", "thermal"), ("thermal",), ("rgb", "thermal"), ALL]
    for number, spectra in enumerate(subsets, start=1):
        outputs = answer(bench, number, *spectra)
        assert outputs["depth/image"].header.frame_id == "rgb_optical_frame"
        for spectrum in ALL:
            confidence = decode_image(outputs[f"confidence/{spectrum}"]).pixels
            assert confidence.any() == (spectrum in spectra), (spectra, spectrum)
    assert bench.status("synchronizer").values["sets_rgb+thermal"] == "1"


def test_another_reference_gives_its_frame_even_when_never_seen(bench: Any) -> None:
    bench.start(reference="thermal")
    bench.listen("depth/image")
    bench.connect(*ALL)
    assert answer(bench, 0, "rgb", "nir")["depth/image"].header.frame_id == "thermal_optical_frame"


def test_frame_is_that_of_the_camera_driver(bench: Any, messages: SimpleNamespace) -> None:
    bench.start()
    bench.listen("depth/image")
    bench.connect("rgb")
    image = messages.image("rgb", STAMP_NS)
    image.header.frame_id = "front_left_optical_frame"
    bench.publisher(Image, "/rgb/image").publish(image)
    bench.until(lambda: bench.received["depth/image"])
    assert bench.received["depth/image"][0].header.frame_id == "front_left_optical_frame"


def test_nothing_is_computed_while_nobody_subscribes(bench: Any) -> None:
    bench.start()
    bench.connect(*ALL)
    send_set(bench, 0, *ALL)
    bench.until(lambda: int(bench.status("inference").values["skipped"]) > 0)
    assert "inference_ms_p50" not in bench.status("inference").values
    assert bench.status("output").message == "nobody subscribes: nothing is computed"


def test_depth_range_and_confidence_thresholds(bench: Any) -> None:
    from rclpy.parameter import Parameter

    node = bench.start()
    bench.listen("depth/image", "depth/confidence")
    bench.connect("rgb")
    depth_m = depth_of(bench, 0, "rgb")
    middle_m = float(np.nanmedian(depth_m))
    results = node.set_parameters([Parameter("depth.max_m", value=middle_m)])
    assert results[0].successful
    clipped_m = depth_of(bench, 1, "rgb")
    assert np.isposinf(clipped_m[depth_m > middle_m]).all()
    np.testing.assert_array_equal(clipped_m[depth_m < middle_m], depth_m[depth_m < middle_m])
    node.set_parameters([Parameter("depth.max_m", value=80.0), Parameter("depth.min_m", value=middle_m)])
    near_m = depth_of(bench, 2, "rgb")
    assert np.isnan(near_m[depth_m < middle_m]).all()
    node.set_parameters([Parameter("depth.min_m", value=0.5), Parameter("output.min_confidence", value=1.0)])
    assert np.isnan(depth_of(bench, 3, "rgb")).all()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"encoding": "rainbow7"}, "encoding 'rainbow7' is not supported"),
        ({"encoding": "mono8", "step": 160}, "truncated or wrongly sized"),
        ({"step": 7}, "step 7 is too small"),
        ({"data": array("B", bytes(100))}, "truncated or wrongly sized"),
        ({"height": 32, "data": array("B", bytes(32 * 480))}, "image is 160 x 32, its camera_info"),
        ({"width": 0}, "no pixels"),
    ],
)
def test_bad_image_is_reported_and_the_node_goes_on(bench: Any, changes: dict, reason: str) -> None:
    bench.start()
    bench.listen("depth/image")
    bench.connect(*ALL)
    bench.send("rgb", STAMP_NS, **changes)
    bench.until(lambda: bench.status("camera rgb").values["rejected"] == "1")
    status = bench.status("camera rgb").values
    assert status["last_rejection"].startswith("/rgb/image: ")
    assert reason in status["last_rejection"]
    answer(bench, 1, "rgb")
    assert bench.status("camera rgb").values["received"] == "1"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"k": np.zeros(9)}, "focal lengths"),
        ({"k": np.full(9, np.nan)}, "not finite"),
        ({"width": 320}, "camera_info is for 320 x 64, the rig file for 160 x 64"),
        ({"distortion_model": "fancy", "d": [0.1]}, "unknown distortion model 'fancy'"),
        ({"height": 0}, "height is 0"),
    ],
)
def test_bad_camera_info_is_reported_and_the_file_still_serves(
    bench: Any,
    messages: SimpleNamespace,
    changes: dict,
    reason: str,
) -> None:
    bench.start()
    bench.listen("depth/image")
    bench.connect(*ALL)
    bench.tell("rgb", messages.camera_info("rgb", **changes))
    bench.until(lambda: int(bench.status("camera rgb").values["rejected"]) > 0)
    status = bench.status("camera rgb").values
    assert status["last_rejection"].startswith("/rgb/camera_info: ")
    assert reason in status["last_rejection"]
    answer(bench, 1, "rgb")


@pytest.mark.parametrize("policy", ["exact", "approximate"])
@pytest.mark.skipif(
    importlib.util.find_spec("message_filters") is None,
    reason="message_filters is not installed: it comes with a ROS 2 distribution",
)
def test_policies_of_message_filters_need_every_camera(bench: Any, policy: str) -> None:
    bench.start(sync__policy=policy, sync__offset_s__thermal=-0.015)
    bench.listen("depth/image")
    bench.connect(*ALL)
    send_set(bench, 0, "rgb", "nir")
    answer(bench, 1, *ALL)
    assert bench.status("synchronizer").values["sets_rgb+nir+thermal"] == "1"
    assert len(bench.received["depth/image"]) == 1


@pytest.mark.parametrize("latched", [False, True])
def test_camera_info_may_be_latched_or_streaming(bench: Any, messages: SimpleNamespace, latched: bool) -> None:
    message = messages.camera_info("rgb", k=[80.0, 0.0, 80.0, 0.0, 80.0, 32.0, 0.0, 0.0, 1.0])
    if latched:
        bench.latch("rgb", message)  # long before the node starts
        bench.spin(0.2)
    node = bench.start()
    bench.listen("depth/image", "depth/camera_info")
    bench.connect("rgb")
    if not latched:
        bench.tell("rgb", message)
    bench.until(lambda: node._equipment.calibration.camera("rgb").k[0, 0] == 80.0)  # noqa: SLF001
    k = answer(bench, 0, "rgb")["depth/camera_info"].k
    assert k[0] == pytest.approx(320.0)  # 80 px at 160 px of width: camera_info wins over the file's 100 px
    assert bench.status("camera rgb").values["rejected"] == "0"


def test_an_image_waits_for_its_first_camera_info(
    bench: Any, messages: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("msdepth_ros.ros.node.lifecycle.TfPoses", Nearby)  # tf2_ros is not on PyPI; all else is real
    bench.start(calibration__source="tf", calibration__file="")
    bench.listen("depth/image")
    bench.connect("rgb")
    send_set(bench, 0, "rgb")
    send_set(bench, 1, "rgb")
    bench.until(lambda: bench.status("camera rgb").values["rejected"] == "1")
    assert "no usable camera_info on /rgb/camera_info yet" in bench.status("camera rgb").values["last_rejection"]
    bench.tell("rgb", messages.camera_info("rgb"))
    bench.until(lambda: outputs_at(bench, STAMP_NS + PERIOD_NS))


def test_a_camera_without_a_pose_is_left_out_and_named(
    bench: Any, messages: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("msdepth_ros.ros.node.lifecycle.TfPoses", Nearby)
    bench.start(calibration__source="tf", calibration__file="")
    bench.listen("depth/image", "confidence/rgb", "confidence/thermal")
    for spectrum in ("rgb", "thermal"):
        bench.tell(spectrum, messages.camera_info(spectrum))
    bench.connect("rgb", "thermal")
    send_set(bench, 0, "rgb", "thermal")
    bench.spin(0.3)
    outputs = answer(bench, 1, "rgb", "thermal")
    assert decode_image(outputs["confidence/rgb"]).pixels.any()
    assert not decode_image(outputs["confidence/thermal"]).pixels.any()
    assert "no transform to thermal" in bench.status("camera thermal").values["last_rejection"]


def test_compressed_images(bench: Any, messages: SimpleNamespace) -> None:
    bench.start(image_transport="compressed")
    bench.listen("depth/image")
    pixels = decode_image(messages.image("rgb", STAMP_NS)).pixels
    message = CompressedImage(format="bgr8; jpeg compressed bgr8")
    message.header = messages.image("rgb", STAMP_NS).header
    message.data = cv2.imencode(".jpg", pixels)[1].tobytes()
    publisher = bench.publisher(CompressedImage, "/rgb/image/compressed")
    bench.until(publisher.get_subscription_count)
    bench.until(lambda: bench.peer.count_publishers("/fused_depth/depth/image"))
    bench.spin(0.2)
    publisher.publish(message)
    bench.until(lambda: outputs_at(bench, STAMP_NS))
    message.data = message.data[:200]
    publisher.publish(message)
    bench.until(lambda: bench.status("camera rgb").values["rejected"] == "1")
    assert "/rgb/image/compressed: 200 bytes" in bench.status("camera rgb").values["last_rejection"]


@pytest.mark.parametrize(("transport", "topic"), [("raw", "/cam/color"), ("compressed", "/cam/color/compressed")])
def test_a_remapped_image_topic_holds_for_every_transport(bench: Any, transport: str, topic: str) -> None:
    node = bench.start("-r", "rgb/image:=/cam/color", "-r", "__ns:=/front", image_transport=transport)
    assert node.count_subscribers(topic) == 1
    assert bench.status("camera rgb").values["topic"] == topic
    assert bench.status("camera rgb").message == f"{topic} has no publisher; start the driver, or remap the topic"
    assert bench.status("camera nir").values["topic"].startswith("/front/nir/image")


def test_qos_can_be_overridden(bench: Any) -> None:
    from rclpy.qos import ReliabilityPolicy

    node = bench.start(**{"qos_overrides./rgb/image.subscription.reliability": "reliable"})
    found = {
        topic: node.get_subscriptions_info_by_topic(topic)[0].qos_profile.reliability
        for topic in ("/rgb/image", "/nir/image")
    }
    assert found == {"/rgb/image": ReliabilityPolicy.RELIABLE, "/nir/image": ReliabilityPolicy.BEST_EFFORT}


def test_newest_set_wins_when_inference_is_slow(bench: Any) -> None:
    node = bench.start()
    bench.listen("depth/image")
    bench.connect("rgb")
    answer(bench, 0, "rgb")
    engine = node._equipment.engine  # noqa: SLF001  nothing else makes the network slow
    estimate = engine.estimate

    def dawdle(*args: Any, **kwargs: Any) -> Any:
        time.sleep(0.5)
        return estimate(*args, **kwargs)

    engine.estimate = dawdle
    for number in range(1, 6):
        send_set(bench, number, "rgb")
        bench.spin(0.05)
    answer(bench, 6, "rgb")
    numbers = [(stamp_to_ns(one.header.stamp) - STAMP_NS) // PERIOD_NS for one in bench.received["depth/image"]]
    assert numbers[-1] == 6
    assert numbers == sorted(numbers)
    assert len(numbers) + int(bench.status("inference").values["dropped"]) == 7
    assert int(bench.status("inference").values["dropped"]) >= 3


def test_an_exception_in_inference_is_counted_and_the_node_goes_on(bench: Any) -> None:
    node = bench.start()
    bench.listen("depth/image")
    bench.connect("rgb")
    engine = node._equipment.engine  # noqa: SLF001  there is no other way to make a provider fail
    estimate = engine.estimate

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("out of memory")

    engine.estimate = fail
    send_set(bench, 0, "rgb")
    bench.until(lambda: bench.status("inference").values["errors"] == "1")
    assert bench.status("inference").values["last_error"] == "RuntimeError: out of memory"
    engine.estimate = estimate
    answer(bench, 1, "rgb")


def test_lifecycle_in_order_and_repeated(bench: Any) -> None:
    node = bench.start(begin=False)
    bench.listen("depth/image")
    for _ in range(2):
        assert node.trigger_configure() == SUCCESS
        assert node.count_subscribers("/rgb/image") == 0
        assert node.trigger_activate() == SUCCESS
        bench.connect("rgb")
        answer(bench, 0, "rgb")
        assert node.trigger_deactivate() == SUCCESS
        bench.until(lambda: node.count_subscribers("/rgb/image") == 0)
        assert bench.status("camera rgb").message == "inactive"
        assert node.trigger_activate() == SUCCESS
        bench.connect("rgb")
        answer(bench, 1, "rgb")
        assert node.trigger_deactivate() == SUCCESS
        assert node.trigger_cleanup() == SUCCESS
        assert node._equipment is None  # noqa: SLF001
        bench.until(lambda: node.count_publishers("/fused_depth/depth/image") == 0)
    assert node.trigger_shutdown() == SUCCESS


def test_failing_configure_says_why_and_can_be_retried(bench: Any, tmp_path: Any) -> None:
    rig = tmp_path / "later.yaml"
    node = bench.start(begin=False, calibration__file=str(rig))
    assert node.trigger_configure() == FAILURE
    assert str(rig) in bench.status("inference").message
    assert bench.status("inference").level == b"\x02"
    rig.write_bytes(bench.rig_file.read_bytes())
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS


def test_a_rig_that_lacks_a_camera_is_refused_by_name(bench: Any, tmp_path: Any) -> None:
    from msdepth_ros.core.camera.rig import Rig

    rig = tmp_path / "two.yaml"
    Rig.load(bench.rig_file).subset(["rgb", "nir"]).save(rig)
    node = bench.start(begin=False, calibration__file=str(rig))
    assert node.trigger_configure() == FAILURE
    assert "lacks the camera thermal" in bench.status("inference").message


@pytest.mark.skipif(importlib.util.find_spec("message_filters") is not None, reason="message_filters is installed")
def test_a_policy_whose_package_is_missing_is_refused(bench: Any) -> None:
    node = bench.start(begin=False, sync__policy="exact")
    assert node.trigger_configure() == FAILURE
    assert "needs message_filters" in bench.status("inference").message


def test_a_qos_override_without_sense_is_refused_and_leaves_nothing_behind(bench: Any) -> None:
    node = bench.start(begin=False, **{"qos_overrides./nir/image.subscription.reliability": "perhaps"})
    threads = threading.active_count()
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == FAILURE
    assert "perhaps" in bench.status("camera rgb").message
    assert node.count_subscribers("/rgb/image") == 0
    assert threading.active_count() == threads


def test_autostart_false_waits(bench: Any) -> None:
    node = bench.start(begin=False, autostart=False)
    assert node.autostart()
    assert bench.status("output").message == "not configured"


def test_diagnostics_topic_has_every_task(bench: Any) -> None:
    bench.start()
    bench.listen("depth/image")
    meet(bench)
    answer(bench, 0, *ALL)
    bench.listen_to_diagnostics()
    bench.until(lambda: any(s.name.startswith("fused_depth") for a in bench.received["diagnostics"] for s in a.status))
    array_ = bench.received["diagnostics"][-1]
    names = [status.name for status in array_.status]
    assert names == [f"fused_depth: {task}" for task in
                     ("camera rgb", "camera nir", "camera thermal", "synchronizer", "inference", "output")]  # fmt: skip
    values = {value.key: value.value for status in array_.status for value in status.values}
    assert {"inference_ms_p50", "dropped", "model", "providers", "sets_published"} <= set(values)
    assert int(values["sets_published"]) >= 2
    assert float(values["inference_ms_p50"]) > 0
    assert values["dropped"].isdigit()
