"""The engine: what it feeds the network, what it gives back, and what it refuses."""

from __future__ import annotations

import dataclasses
import json
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

import models
from msdepth_ros.core.camera.ground import GroundPlane
from msdepth_ros.core.camera.model import CameraModel
from msdepth_ros.core.camera.rig import Rig, RigViews
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.model.engine import DepthEngine, DepthResult, default_model_path
from msdepth_ros.core.model.providers import choose_providers, provider_options
from msdepth_ros.core.spectra import SPECTRA

SUBSETS = [subset for size in (1, 2, 3) for subset in combinations(SPECTRA, size)]
SIZES = {"rgb": (160, 64), "nir": (150, 60), "thermal": (80, 32)}


def make_rig(sizes: dict[str, tuple[int, int]]) -> Rig:
    """Cameras side by side, a metre apart, each with a focal length of its own."""
    cameras, poses = {}, {}
    for index, (name, (width, height)) in enumerate(sizes.items()):
        f = width * (0.6 + 0.1 * index)
        k = np.array([[f, 0, (width - 1) / 2], [0, f, (height - 1) / 2], [0, 0, 1]])
        cameras[name] = CameraModel(name, width, height, k)
        poses[name] = np.eye(4)
        poses[name][0, 3] = -index
    return Rig(cameras, poses)


def make_images(sizes: dict[str, tuple[int, int]], seed: int = 3) -> dict[str, NDArray[Any]]:
    """Noise of each spectrum's type."""
    random = np.random.default_rng(seed)
    images: dict[str, NDArray[Any]] = {}
    for name, (width, height) in sizes.items():
        shape = (height, width, 3) if name == "rgb" else (height, width)
        kind, top = (np.uint16, 6000) if name == "thermal" else (np.uint8, 256)
        images[name] = random.integers(0, top, shape).astype(kind)
    return images


@pytest.fixture(scope="module", params=sorted(default_model_path().parent.glob("*.onnx")), ids=lambda path: path.stem)
def engine(request: pytest.FixtureRequest) -> DepthEngine:
    """Each model that ships."""
    return DepthEngine(request.param, threads=1)


@pytest.fixture(scope="module")
def views(engine: DepthEngine) -> RigViews:
    return make_rig(SIZES).views(engine.info.width, engine.info.height, "rgb")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> DepthEngine:
    return DepthEngine(models.toy_model(tmp_path_factory.mktemp("toy") / "toy.onnx"), threads=1)


@pytest.fixture(scope="module")
def toy_2(toy: DepthEngine) -> DepthEngine:
    return DepthEngine(models.toy_model(toy.info.path.with_name("toy_2.onnx"), contract=2), threads=1)


TOY_SIZES = dict.fromkeys(SPECTRA, (models.TOY_WIDTH, models.TOY_HEIGHT))


def toy_views(reference: str = "rgb") -> RigViews:
    return make_rig(TOY_SIZES).views(models.TOY_WIDTH, models.TOY_HEIGHT, reference)


def take(images: dict[str, NDArray[Any]], spectra: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    return {name: images[name] for name in spectra}


def assert_same(first: DepthResult, second: DepthResult) -> None:
    np.testing.assert_array_equal(first.depth_m, second.depth_m)
    np.testing.assert_array_equal(first.confidence, second.confidence)
    assert first.spectra == second.spectra == tuple(first.view_confidence) == tuple(second.view_confidence)
    for name in first.spectra:
        np.testing.assert_array_equal(first.view_confidence[name], second.view_confidence[name])


# What goes in.


@pytest.mark.parametrize("spectra", SUBSETS)
@pytest.mark.parametrize("reference", SPECTRA)
def test_network_gets_images_cameras_and_poses(toy: DepthEngine, spectra: tuple[str, ...], reference: str) -> None:
    views = toy_views(reference)
    values = {"rgb": 51, "nir": 102, "thermal": 4000}
    expected = {"rgb": 0.2, "nir": 0.4, "thermal": 0.5}
    images = {
        name: np.full(view.shape, values[name], view.dtype)
        for name, view in take(make_images(TOY_SIZES), spectra).items()
    }
    result = toy.estimate(images, views)
    assert result.spectra == spectra
    for name in spectra:
        np.testing.assert_allclose(result.view_confidence[name], expected[name], atol=1e-6)
    x_m = sum(SPECTRA.index(reference) - SPECTRA.index(name) for name in spectra)
    np.testing.assert_allclose(result.depth_m, np.mean([expected[name] for name in spectra]) + x_m, atol=1e-5)
    focal_px = sum(views.maps[name].intrinsics[0, 0] for name in (*spectra, reference))
    np.testing.assert_allclose(result.confidence, 0.001 * focal_px, rtol=1e-5)
    np.testing.assert_array_equal(result.intrinsics, views.reference_intrinsics)


def test_rgb_channels_are_not_swapped_or_mixed(toy: DepthEngine) -> None:
    image = np.zeros((models.TOY_HEIGHT, models.TOY_WIDTH, 3), np.uint8)
    image[:, :20, 0] = 255
    result = toy.estimate({"rgb": image}, toy_views())
    np.testing.assert_allclose(result.view_confidence["rgb"][:, 3:17], 1 / 3, atol=1e-6)
    np.testing.assert_allclose(result.view_confidence["rgb"][:, 23:], 0, atol=1e-6)


def test_significant_bits_reach_the_normalisation(toy: DepthEngine) -> None:
    image = np.full((models.TOY_HEIGHT, models.TOY_WIDTH), 1023, np.uint16)
    for bits, expected in (({"nir": 10}, 1.0), ({"nir": 12}, 1023 / 4095), (None, 1023 / 65535)):
        result = toy.estimate({"nir": image}, toy_views(), bits=bits)
        np.testing.assert_allclose(result.view_confidence["nir"], expected, rtol=1e-5)


# What a contract adds.


@pytest.mark.parametrize("spectra", SUBSETS)
@pytest.mark.parametrize("reference", SPECTRA)
def test_contract_2_gets_the_spectra_and_the_road(toy_2: DepthEngine, spectra: tuple[str, ...], reference: str) -> None:
    assert toy_2.info.contract_version == 2
    road = GroundPlane("nir", (0.0, 0.8, 0.6), 1.5, "a test")
    rig = dataclasses.replace(make_rig(TOY_SIZES), ground=road)
    plain, images = DepthEngine(toy_2.info.path.with_name("toy.onnx"), threads=1), make_images(TOY_SIZES)
    for views, plane in (
        (toy_views(reference), np.zeros(4)),
        (rig.views(models.TOY_WIDTH, models.TOY_HEIGHT, reference), (0.0, 0.8, 0.6, 1.5)),
    ):
        np.testing.assert_allclose(views.ground_plane, plane, atol=1e-6)
        first, second = (engine.estimate(take(images, spectra), views) for engine in (plain, toy_2))
        np.testing.assert_allclose(second.depth_m - first.depth_m, np.dot(models.PLANE_WEIGHTS, plane), atol=1e-4)
        for name in spectra:
            difference = second.view_confidence[name] - first.view_confidence[name]
            np.testing.assert_allclose(difference, 10 * SPECTRA.index(name), atol=1e-5)


def test_a_model_of_two_spectra_knows_them_by_the_same_numbers(tmp_path: Path) -> None:
    engine = DepthEngine(models.toy_model(tmp_path / "toy.onnx", spectra="nir,thermal", contract=2), threads=1)
    engine.warm_up()
    image = np.zeros((models.TOY_HEIGHT, models.TOY_WIDTH), np.uint8)
    result = engine.estimate({"nir": image}, toy_views())
    np.testing.assert_allclose(result.view_confidence["nir"], 10)


def test_a_model_of_8_bit_weights_is_a_model_like_any_other(tmp_path: Path) -> None:
    plain = DepthEngine(models.toy_model(tmp_path / "toy.onnx", contract=2), threads=1)
    path = models.toy_model(tmp_path / "toy.int8.onnx", contract=2, int8=True)
    card = path.with_suffix(".json")
    card.write_text(json.dumps(json.loads(card.read_text()) | {"precision": "int8"}))
    small = DepthEngine(path, threads=1)
    assert small.info.card["precision"] == "int8" and card.name == "toy.int8.json"
    assert_same(
        small.estimate(make_images(TOY_SIZES), toy_views()), plain.estimate(make_images(TOY_SIZES), toy_views())
    )


# The model that ships.


@pytest.mark.parametrize("spectra", SUBSETS)
def test_every_subset_gives_depth_in_the_reference_frame(
    engine: DepthEngine, views: RigViews, spectra: tuple[str, ...]
) -> None:
    result = engine.estimate(take(make_images(SIZES), spectra), views)
    shape = (engine.info.height, engine.info.width)
    for values in (result.depth_m, result.confidence, *result.view_confidence.values()):
        assert values.shape == shape and values.dtype == np.float32
    assert result.spectra == tuple(result.view_confidence) == spectra
    slack = 1e-3
    assert engine.info.min_m * (1 - slack) <= result.depth_m.min() <= result.depth_m.max()
    assert result.depth_m.max() <= engine.info.max_m * (1 + slack)
    for values in (result.confidence, *result.view_confidence.values()):
        assert values.min() >= 0 and values.max() <= 1 + 1e-6
    np.testing.assert_array_equal(result.intrinsics, views.reference_intrinsics)
    assert result.inference_ms > 0


def test_order_of_the_images_does_not_matter(engine: DepthEngine, views: RigViews) -> None:
    images = make_images(SIZES)
    assert_same(engine.estimate(images, views), engine.estimate(take(images, SPECTRA[::-1]), views))


def test_inputs_stay_as_they_are_and_may_be_read_only(engine: DepthEngine, views: RigViews) -> None:
    images = make_images(SIZES)
    copies = {name: image.copy() for name, image in images.items()}
    for image in images.values():
        image.flags.writeable = False
    engine.estimate(images, views)
    for name, image in images.items():
        np.testing.assert_array_equal(image, copies[name])


def test_a_result_survives_the_next_call(engine: DepthEngine, views: RigViews) -> None:
    first = engine.estimate(make_images(SIZES, 1), views)
    kept = first.depth_m.copy(), first.view_confidence["nir"].copy()
    second = engine.estimate(make_images(SIZES, 2), views)
    assert np.abs(first.depth_m - second.depth_m).max() > 0
    np.testing.assert_array_equal(first.depth_m, kept[0])
    np.testing.assert_array_equal(first.view_confidence["nir"], kept[1])


def test_a_result_does_not_depend_on_earlier_calls(engine: DepthEngine, views: RigViews) -> None:
    images = make_images(SIZES)
    alone = engine.estimate(take(images, ("rgb", "thermal")), views)
    engine.warm_up()
    engine.estimate(take(make_images(SIZES, 9), ("nir", "thermal")), views)
    assert_same(alone, engine.estimate(take(images, ("rgb", "thermal")), views))


def test_threads_do_not_disturb_each_other(toy: DepthEngine) -> None:
    sets = [make_images(TOY_SIZES, seed) for seed in range(16)]
    expected = [toy.estimate(images, toy_views()) for images in sets]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda images: toy.estimate(images, toy_views()), sets))
    for one, other in zip(results, expected, strict=True):
        assert_same(one, other)


def test_warm_up_runs_every_number_of_views(toy: DepthEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    session, counts = toy._session, []

    class Spy:
        def run(self, outputs: list[str], feeds: dict[str, NDArray[np.float32]]) -> Any:
            counts.append(len(feeds["images"]))
            return session.run(outputs, feeds)

    monkeypatch.setattr(toy, "_session", Spy())
    toy.warm_up()
    assert counts == [1, 2, 3]


# Bad input.


def test_no_image_is_refused(engine: DepthEngine, views: RigViews) -> None:
    with pytest.raises(MsdepthError, match="no image"):
        engine.estimate({}, views)


def test_unknown_spectrum_is_refused(engine: DepthEngine, views: RigViews) -> None:
    with pytest.raises(MsdepthError, match="radar"):
        engine.estimate({"radar": np.zeros((4, 4), np.uint8)}, views)


def test_spectrum_the_model_was_not_trained_for_is_refused(tmp_path: Path) -> None:
    small = DepthEngine(models.toy_model(tmp_path / "toy.onnx", spectra="rgb,nir"), threads=1)
    assert small.info.spectra == ("rgb", "nir")
    with pytest.raises(MsdepthError, match="not trained for thermal"):
        small.estimate(make_images(TOY_SIZES), toy_views())


def test_camera_without_calibration_is_refused(engine: DepthEngine) -> None:
    rig = make_rig({"rgb": SIZES["rgb"], "nir": SIZES["nir"]})
    with pytest.raises(MsdepthError, match="no calibration for thermal"):
        engine.estimate(make_images(SIZES), rig.views(engine.info.width, engine.info.height, "rgb"))


def test_image_of_another_size_is_refused(engine: DepthEngine, views: RigViews) -> None:
    with pytest.raises(MsdepthError, match=r"thermal: image is 30 x 20 px"):
        engine.estimate({"thermal": np.zeros((20, 30), np.uint16)}, views)


def test_views_of_another_size_are_refused(engine: DepthEngine) -> None:
    with pytest.raises(MsdepthError, match="64 x 32"):
        engine.estimate(make_images(TOY_SIZES), toy_views())


def test_failure_leaves_the_engine_usable(toy: DepthEngine) -> None:
    images = make_images(TOY_SIZES)
    before = toy.estimate(images, toy_views())
    with pytest.raises(MsdepthError, match="nir"):
        toy.estimate(images | {"nir": np.zeros((32, 64), np.float32)}, toy_views())
    assert_same(before, toy.estimate(images, toy_views()))


def test_result_that_is_not_finite_is_an_error(tmp_path: Path) -> None:
    broken = DepthEngine(models.toy_model(tmp_path / "toy.onnx", broken=True), threads=1)
    with pytest.raises(MsdepthError, match=r"2048 values of depth_m are not finite for rgb\+nir"):
        broken.estimate(take(make_images(TOY_SIZES), ("rgb", "nir")), toy_views())


# Graphs that break the contract.


def rename_output(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        node.output[:] = ["depth" if name == "depth_m" else name for name in node.output]
        node.input[:] = ["depth" if name == "depth_m" else name for name in node.input]
    model.graph.output[0].name = "depth"


def fix_views(model: onnx.ModelProto) -> None:
    for entry in model.graph.input[0], model.graph.input[1], model.graph.input[2], model.graph.output[2]:
        entry.type.tensor_type.shape.dim[0].dim_value = 3


def float_spectrum(model: onnx.ModelProto) -> None:
    model.graph.input[4].type.tensor_type.elem_type = onnx.TensorProto.FLOAT


def break_graph(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = "NoSuchOperator"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (rename_output, "outputs are confidence, depth, view_confidence but contract 1 has"),
        (fix_views, r"input images is tensor\(float\).*the contract wants float \['N', 3"),
        (break_graph, "ONNX Runtime cannot load it"),
        (lambda model: models.set_metadata(model, width="48"), "input images is"),
    ],
)
def test_graph_that_breaks_the_contract_is_refused(tmp_path: Path, change: Any, complaint: str) -> None:
    path = models.toy_model(tmp_path / "toy.onnx")
    model = onnx.load(path)
    change(model)
    with pytest.raises(MsdepthError, match=complaint) as caught:
        DepthEngine(models.write_with_card(model, path), threads=1)
    assert "toy.onnx" in str(caught.value)


@pytest.mark.parametrize(
    ("contract", "change", "complaint"),
    [
        (1, lambda model: models.set_metadata(model, msdepth_contract="2"), "contract 2 has ground_plane, images"),
        (2, lambda model: models.set_metadata(model, msdepth_contract="1"), "but contract 1 has images, intrinsics"),
        (2, float_spectrum, r"input spectrum is tensor\(float\) \['views'\]; the contract wants int64 \['N'\]"),
    ],
)
def test_inputs_are_those_of_the_contract_that_a_model_states(
    tmp_path: Path, contract: int, change: Any, complaint: str
) -> None:
    path = models.toy_model(tmp_path / "toy.onnx", contract=contract)
    model = onnx.load(path)
    change(model)
    with pytest.raises(MsdepthError, match=complaint):
        DepthEngine(models.write_with_card(model, path), threads=1)


# Providers.


def test_auto_takes_what_is_there(engine: DepthEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert engine.providers[-1] == "CPUExecutionProvider"
    there = ["AzureExecutionProvider", "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"]
    monkeypatch.setattr(ort, "get_available_providers", lambda: there)
    assert choose_providers("auto") == [
        "TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider",
    ]  # fmt: skip
    monkeypatch.setattr(ort, "get_available_providers", lambda: there[:2])
    assert choose_providers("auto") == ["CPUExecutionProvider"]


def test_named_providers_are_taken_in_order_with_the_cpu_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider", "CUDAExecutionProvider"])
    assert choose_providers(["cuda"]) == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert choose_providers("CUDAExecutionProvider") == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert choose_providers(["cpu"]) == ["CPUExecutionProvider"]


def test_named_provider_that_is_not_there_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(MsdepthError, match=r"msdepth_ros\[gpu\]"):
        DepthEngine(default_model_path(), providers=["cuda"])


@pytest.mark.parametrize("providers", ["warp", ["cpu", "warp"], []])
def test_unknown_provider_is_refused(providers: Any) -> None:
    with pytest.raises(MsdepthError, match="use auto"):
        choose_providers(providers)


def test_named_provider_that_does_not_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("msdepth_ros.core.model.engine.choose_providers", lambda _: ["CPUExecutionProvider"])
    monkeypatch.setattr(ort.InferenceSession, "get_providers", lambda _: ["AzureExecutionProvider"])
    with pytest.raises(MsdepthError, match="could not start CPUExecutionProvider"):
        DepthEngine(default_model_path(), providers=["cpu"], threads=1)


def test_tensorrt_keeps_engines_of_each_model_apart_and_in_fp32(tmp_path: Path, engine: DepthEngine) -> None:
    options = provider_options("TensorrtExecutionProvider", engine.info, tmp_path / "cache")
    folder = Path(options["trt_engine_cache_path"])
    assert folder.is_dir() and engine.info.sha256[:16] in folder.name
    assert options["trt_fp16_enable"] == "0"
    assert "trt_engine_cache_path" not in provider_options("TensorrtExecutionProvider", engine.info, None)
    assert provider_options("CPUExecutionProvider", engine.info, tmp_path / "unused") == {}
    assert not (tmp_path / "unused").exists()


def test_cache_that_cannot_be_made_is_an_error(tmp_path: Path, engine: DepthEngine) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MsdepthError, match="model cache"):
        provider_options("TensorrtExecutionProvider", engine.info, tmp_path / "file")


def test_prepared_ahead_gives_the_same_and_what_comes_after_does_not_change_it(
    engine: DepthEngine, views: RigViews
) -> None:
    first, second = make_images(SIZES, 1), make_images(SIZES, 2)
    prepared = [engine.prepare(first, views), engine.prepare(second, views)]
    assert_same(engine.compute(prepared[1]), engine.estimate(second, views))
    assert_same(engine.compute(prepared[0]), engine.estimate(first, views))
