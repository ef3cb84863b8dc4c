"""Putting sets together from what arrives, and scoring them."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from bags import IMAGE, INFO, PERIOD_NS, SIZES, START_NS, TYPES, camera_info, pixels_of, raw_image, stamps_of
from hypothesis import given
from hypothesis import strategies as st

from msdepth_ros.bags.bag import DIAGNOSTICS
from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.live.recorder import Recorder, RecorderConfig, resample_depth

ENCODINGS = {"rgb": "bgr8", "nir": "mono8", "thermal": "mono16", "truth": "16UC1"}
DEPTH_SIZE = (64, 32)
LATENCY_NS = 30_000_000
RGB_FRAME = "rgb_optical_frame"


def image(stamp_ns: int, pixels: np.ndarray, encoding: str, frame: str = RGB_FRAME) -> bytes:
    return bytes(TYPES.serialize_cdr(raw_image(stamp_ns, frame, pixels, encoding), IMAGE))


def info(stamp_ns: int, size: tuple[int, int], frame: str = RGB_FRAME) -> bytes:
    return bytes(TYPES.serialize_cdr(camera_info(stamp_ns, frame, size), INFO))


def feed_inputs(recorder: Recorder, tick: int, cameras: Iterable[str] = SPECTRA) -> None:
    for camera in cameras:
        stamp_ns = stamps_of(camera, tick)
        recorder.add(f"input/{camera}", image(stamp_ns, pixels_of(camera, tick), ENCODINGS[camera]), stamp_ns)
    stamp_ns = stamps_of("ground_truth", tick)
    recorder.add("truth", image(stamp_ns, pixels_of("ground_truth", tick), "16UC1"), stamp_ns)
    recorder.add("truth_info", info(stamp_ns, SIZES["ground_truth"]), stamp_ns)


def feed_outputs(
    recorder: Recorder, tick: int, spectra: Iterable[str] = SPECTRA, scale: float = 1.0, frame: str = RGB_FRAME
) -> None:
    """Depth that is `scale` times the truth, on a grid twice as fine; confidence 0.5 for what is there."""
    stamp_ns = stamps_of("rgb", tick)
    now_ns = stamp_ns + 7_000_000 + LATENCY_NS
    truth_m = pixels_of("ground_truth", tick).astype(np.float32) / 1000
    depth_m = np.repeat(np.repeat(truth_m * np.float32(scale), 2, axis=0), 2, axis=1)
    recorder.add("depth", image(stamp_ns, depth_m, "32FC1", frame), now_ns)
    recorder.add("depth_info", info(stamp_ns, DEPTH_SIZE, frame), now_ns)
    recorder.add("confidence", image(stamp_ns, np.full(DEPTH_SIZE[::-1], 0.75, np.float32), "32FC1"), now_ns)
    for spectrum in SPECTRA:
        level = 0.5 if spectrum in tuple(spectra) else 0.0
        pixels = np.full(DEPTH_SIZE[::-1], level, np.float32)
        recorder.add(f"confidence/{spectrum}", image(stamp_ns, pixels, "32FC1"), now_ns)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder(RecorderConfig())


def test_a_whole_set_is_scored_as_soon_as_it_is_complete(recorder: Recorder) -> None:
    feed_inputs(recorder, 0)
    feed_outputs(recorder, 0, scale=1.25)
    (record,) = recorder.records
    assert record.spectra == SPECTRA
    assert record.abs_rel == pytest.approx(0.25, abs=1e-5)
    assert record.coverage == 1.0
    assert record.confidence == pytest.approx(0.75)
    assert record.view_confidence == pytest.approx(dict.fromkeys(SPECTRA, 0.5))
    assert not recorder.problems


def test_latency_counts_from_the_newest_image_of_the_set(recorder: Recorder) -> None:
    feed_inputs(recorder, 0)
    feed_outputs(recorder, 0)
    assert recorder.records[0].newest_ns == stamps_of("thermal", 0)
    assert recorder.records[0].latency_ms == pytest.approx(30.0)


def test_an_image_that_was_not_in_the_set_does_not_count_as_its_newest(recorder: Recorder) -> None:
    feed_inputs(recorder, 0)
    feed_outputs(recorder, 0, spectra=("rgb", "nir"))
    assert recorder.records[0].spectra == ("rgb", "nir")
    assert recorder.records[0].newest_ns == stamps_of("rgb", 0)


def test_a_set_whose_confidence_never_comes_is_scored_after_a_while(recorder: Recorder) -> None:
    feed_inputs(recorder, 0)
    stamp_ns = stamps_of("rgb", 0)
    recorder.add("depth", image(stamp_ns, np.ones(DEPTH_SIZE[::-1], np.float32), "32FC1"), stamp_ns + LATENCY_NS)
    recorder.add("depth_info", info(stamp_ns, DEPTH_SIZE), stamp_ns + LATENCY_NS)
    recorder.poll(stamp_ns + 400_000_000)
    assert not recorder.records
    recorder.poll(stamp_ns + 600_000_000)
    assert [r.spectra for r in recorder.records] == [()]


def test_confidences_without_depth_are_no_set(recorder: Recorder) -> None:
    stamp_ns = stamps_of("rgb", 0)
    recorder.add("confidence", image(stamp_ns, np.ones((2, 2), np.float32), "32FC1"), stamp_ns)
    recorder.flush()
    assert not recorder.records


def test_depth_in_another_frame_is_recorded_but_not_scored(recorder: Recorder) -> None:
    feed_inputs(recorder, 0)
    feed_outputs(recorder, 0, frame="nir_optical_frame")
    assert recorder.records[0].abs_rel is None
    assert "nir_optical_frame" in next(iter(recorder.problems))


def test_a_broken_depth_image_is_a_problem_not_a_crash(recorder: Recorder) -> None:
    feed_inputs(recorder, 0)
    payload = raw_image(stamps_of("rgb", 0), RGB_FRAME, np.ones((4, 4), np.float32), "32FC1")
    payload.step = 3
    recorder.add("depth", bytes(TYPES.serialize_cdr(payload, IMAGE)), START_NS)
    recorder.flush()
    assert not recorder.records
    assert "depth: step 3 is too small for 4 x 4" in next(iter(recorder.problems))


def test_unknown_depth_is_left_out_of_abs_rel_and_lowers_coverage(recorder: Recorder) -> None:
    feed_inputs(recorder, 0)
    stamp_ns = stamps_of("rgb", 0)
    truth_m = pixels_of("ground_truth", 0).astype(np.float32) / 1000
    depth_m = np.repeat(np.repeat(truth_m, 2, axis=0), 2, axis=1)
    depth_m[:, :32] = np.nan
    recorder.add("depth", image(stamp_ns, depth_m, "32FC1"), stamp_ns)
    recorder.add("depth_info", info(stamp_ns, DEPTH_SIZE), stamp_ns)
    recorder.flush()
    assert recorder.records[0].abs_rel == pytest.approx(0.0, abs=1e-6)
    assert recorder.records[0].coverage == pytest.approx(0.5)


def test_memory_stays_bounded_when_nothing_answers(recorder: Recorder) -> None:
    for tick in range(200):
        feed_inputs(recorder, tick, cameras=("rgb",))
    assert max(len(history) for history in recorder._recent.values()) < 50


def test_moments_hold_inputs_outputs_and_truth(recorder: Recorder) -> None:
    feed_inputs(recorder, 3)
    feed_outputs(recorder, 3, scale=2.0)
    (moment,) = recorder.moments.moments
    np.testing.assert_array_equal(moment.inputs["rgb"].pixels, pixels_of("rgb", 3))
    assert moment.inputs["thermal"].encoding == "mono16"
    assert set(moment.confidences) == {"confidence", *SPECTRA}
    assert moment.truth_m is not None
    np.testing.assert_allclose(moment.depth_at_truth_m, 2 * moment.truth_m, rtol=1e-5)


def test_the_node_tells_of_itself_in_diagnostics(recorder: Recorder) -> None:
    types: dict[str, Any] = TYPES.types

    def status(name: str, level: int = 0, message: str = "", **values: str) -> Any:
        pairs = [types["diagnostic_msgs/msg/KeyValue"](key=key, value=value) for key, value in values.items()]
        return types["diagnostic_msgs/msg/DiagnosticStatus"](
            level=level, name=name, message=message, hardware_id="", values=pairs
        )

    def tell(*statuses: Any) -> None:
        message = types[DIAGNOSTICS](header=camera_info(START_NS, "", (1, 1)).header, status=list(statuses))
        recorder.add("diagnostics", bytes(TYPES.serialize_cdr(message, DIAGNOSTICS)), START_NS)

    tell(status("fused_depth: inference", level=2, message="cannot configure: no model"))
    assert recorder.trouble == "cannot configure: no model"
    tell(
        status("fused_depth: camera rgb", received="9", rejected="2"),
        status("fused_depth: camera nir", received="9", rejected="1"),
        status("fused_depth: synchronizer", images_dropped_rgb="5", complete="7"),
        status("fused_depth: inference", model="tiny", model_version="0.1", providers="CPUExecutionProvider",
               inference_ms_p50="21.5", dropped="4"),
        status("somebody else: inference", level=2, message="not ours", dropped="77"),
    )  # fmt: skip
    assert recorder.trouble == ""
    assert recorder.node.to_json() == {
        "model": "tiny 0.1", "providers": ("CPUExecutionProvider",), "model_ms_p50": 21.5, "dropped": 12,
    }  # fmt: skip


@given(st.permutations(range(6)), st.integers(0, 5))
def test_sets_are_the_same_in_whatever_order_their_parts_arrive(order: list[int], tick: int) -> None:
    collected: list[tuple[str, bytes, int]] = []

    class Tape(Recorder):
        def add(self, channel: str, payload: bytes, received_ns: int) -> None:
            collected.append((channel, payload, received_ns))

    feed_outputs(Tape(RecorderConfig()), tick, spectra=("nir", "thermal"))
    straight, shuffled = Recorder(RecorderConfig(moments=0)), Recorder(RecorderConfig(moments=0))
    for recorder, sequence in ((straight, range(6)), (shuffled, order)):
        feed_inputs(recorder, tick)
        for index in sequence:
            recorder.add(*collected[index])
        recorder.flush()
    assert straight.records == shuffled.records
    assert straight.records[0].spectra == ("nir", "thermal")


def test_resampling_between_equal_cameras_changes_nothing() -> None:
    depth_m = np.random.default_rng(0).random((8, 12), dtype=np.float32)
    k = np.array([[10.0, 0, 5.5], [0, 10, 3.5], [0, 0, 1]])
    np.testing.assert_array_equal(resample_depth(depth_m, k, k, (12, 8)), depth_m)


def test_resampling_shifts_by_the_difference_of_principal_points_and_leaves_the_rest_unknown() -> None:
    depth_m = np.arange(96, dtype=np.float32).reshape(8, 12) + 1
    k = np.array([[10.0, 0, 5.5], [0, 10, 3.5], [0, 0, 1]])
    shifted_k = k + np.array([[0, 0, 2.0], [0, 0, 1.0], [0, 0, 0]])
    moved = resample_depth(depth_m, k, shifted_k, (12, 8))
    np.testing.assert_array_equal(moved[1:, 2:], depth_m[:-1, :-2])
    assert np.isnan(moved[0]).all()
    assert np.isnan(moved[:, :2]).all()


def test_period_of_the_test_drive_is_what_the_recorder_expects() -> None:
    assert RecorderConfig().tolerance_ns < PERIOD_NS / 2
