"""Tests of one camera: its checks, its network view, and the way back to the sensor."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msdepth_ros.core.camera.model import CameraModel
from msdepth_ros.core.camera.view import MAX_STRETCH, ViewMap, make_view
from msdepth_ros.core.errors import MsdepthError

PLUMB_BOB = (-0.30, 0.09, 0.0008, -0.0011, -0.012)
RATIONAL = (0.35, -0.12, 0.0005, -0.0007, 0.004, 0.68, -0.05, 0.006)
EQUIDISTANT = (-0.02, 0.006, -0.004, 0.0009)
LENSES = [("plumb_bob", PLUMB_BOB), ("rational_polynomial", RATIONAL), ("equidistant", EQUIDISTANT)]


def matrix(fx: float = 400.0, fy: float = 400.0, cx: float = 319.5, cy: float = 127.5) -> np.ndarray:
    return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])


def ramps(width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Images whose value is the column, and the row: sampling them tells where a map looks."""
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return columns, rows


def looked_at(view: ViewMap) -> np.ndarray:
    """[H,W,2] sensor pixel that each network pixel takes."""
    return np.stack([view.apply(ramp) for ramp in ramps(view.camera.width, view.camera.height)], axis=-1)


def projected(camera: CameraModel, rays: np.ndarray) -> np.ndarray:
    """Projects rays [N,2] onto the sensor with OpenCV's own functions: the reference of these tests."""
    zero, coefficients = np.zeros(3), np.array(camera.distortion)
    points = np.column_stack([rays, np.ones(len(rays))])[:, None]
    if camera.distortion_model == "equidistant":
        return cv2.fisheye.projectPoints(points, zero, zero, camera.k, coefficients)[0][:, 0]
    return cv2.projectPoints(points, zero, zero, camera.k, coefficients)[0][:, 0]


def view_rays(view: ViewMap, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    pixels = np.column_stack([x, y])
    return (pixels - view.intrinsics[:2, 2]) / np.diag(view.intrinsics)[:2]


class TestView:
    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
    @pytest.mark.parametrize("k", [matrix(), matrix(771.3, 768.9, 300.25, 140.75)])
    def test_identity_is_exact(self, dtype: type, k: np.ndarray) -> None:
        view = make_view(CameraModel("rgb", 640, 256, k), 640, 256)
        image = np.random.default_rng(0).integers(0, 255, (256, 640, 3)).astype(dtype)
        assert np.array_equal(view.apply(image), image)
        assert view.apply(image).dtype == dtype
        np.testing.assert_array_equal(view.intrinsics, k)

    @pytest.mark.parametrize("scale", [0.5, 0.25, 2.0])
    def test_scaling_moves_the_principal_point_by_pixel_centres(self, scale: float) -> None:
        view = make_view(
            CameraModel("rgb", 640, 256, matrix(500, 500, 310.0, 120.0)), int(640 * scale), int(256 * scale)
        )
        expected = matrix(500 * scale, 500 * scale, scale * 310.5 - 0.5, scale * 120.5 - 0.5)
        np.testing.assert_allclose(view.intrinsics, expected)

    def test_ms2_shapes_are_kept_or_cropped_by_the_stretch_limit(self) -> None:
        rgb = make_view(CameraModel("rgb", 1224, 384, matrix(764.5, 764.5, 579.5, 153.0)), 640, 256)
        assert rgb.intrinsics[1, 1] / rgb.intrinsics[0, 0] == pytest.approx(1.275)
        nir = make_view(CameraModel("nir", 1280, 352, matrix(638.9, 638.9, 632.7, 163.1)), 640, 256)
        assert nir.intrinsics[1, 1] / nir.intrinsics[0, 0] == pytest.approx(MAX_STRETCH)
        # All rows are kept, and the columns lost are the same on both sides.
        source = looked_at(nir)
        assert nir.intrinsics[1, 1] == pytest.approx(638.9 * 256 / 352)
        assert source[0, 0, 0] + source[0, -1, 0] == pytest.approx(1279, abs=0.1)
        assert source[0, 0, 0] == pytest.approx(68 + 0.5 * (1144 / 640 - 1), abs=0.1)

    @given(st.integers(16, 300), st.integers(16, 300), st.integers(8, 200), st.integers(8, 200), st.floats(0.5, 2.0))
    @settings(max_examples=60, deadline=None)
    def test_stretch_stays_within_its_limit_and_one_side_is_kept(
        self, width: int, height: int, view_width: int, view_height: int, aspect: float
    ) -> None:
        camera = CameraModel("x", width, height, matrix(100.0 * aspect, 100.0, width / 2, height / 2))
        view = make_view(camera, view_width, view_height)
        fx, fy = np.diag(view.intrinsics)[:2]
        assert 1 / MAX_STRETCH - 1e-9 <= fx / fy <= MAX_STRETCH + 1e-9
        kept_width = view_width * camera.k[0, 0] / fx
        kept_height = view_height * camera.k[1, 1] / fy
        assert kept_width <= width + 1e-6 and kept_height <= height + 1e-6
        assert kept_width == pytest.approx(width) or kept_height == pytest.approx(height)

    @pytest.mark.parametrize(("model", "coefficients"), [("none", ()), *LENSES])
    @pytest.mark.parametrize("k", [matrix(), matrix(520.0, 515.0, 305.0, 133.0)])
    def test_takes_each_pixel_where_opencv_projects_it(
        self, model: str, coefficients: tuple[float, ...], k: np.ndarray
    ) -> None:
        view = make_view(CameraModel("rgb", 640, 256, k, model, coefficients), 320, 128)
        columns, rows = ramps(320, 128)
        expected = projected(view.camera, view_rays(view, columns.ravel(), rows.ravel())).reshape(128, 320, 2)
        # The ramps are box-filtered like any image, which bends them at the border; 1/32 px is the map's resolution.
        inner = (slice(2, -2), slice(2, -2))
        np.testing.assert_allclose(looked_at(view)[inner], expected[inner], atol=0.05)

    @pytest.mark.parametrize(("model", "coefficients"), [*LENSES, ("plumb_bob", (0.4, 0.1, 0.0, 0.0))])
    def test_never_looks_beyond_the_sensor(self, model: str, coefficients: tuple[float, ...]) -> None:
        view = make_view(CameraModel("rgb", 640, 256, matrix(), model, coefficients), 320, 128)
        columns, rows = ramps(320, 128)
        source = projected(view.camera, view_rays(view, columns.ravel(), rows.ravel()))
        assert source.min() >= -0.5 and np.all(source <= [639.5, 255.5])
        # It reaches the border of the sensor, too: no more is cut away than must be.
        reach = min(source.min(axis=0).min(), (np.array([639, 255]) - source.max(axis=0)).min())
        assert reach < 2.0

    @pytest.mark.parametrize(("model", "coefficients"), [("none", ()), *LENSES])
    @pytest.mark.parametrize("size", [(640, 256), (200, 150), (1200, 400)])
    def test_a_white_image_has_no_dark_border(
        self, model: str, coefficients: tuple[float, ...], size: tuple[int, int]
    ) -> None:
        view = make_view(CameraModel("rgb", 640, 256, matrix(), model, coefficients), *size)
        assert np.all(view.apply(np.full((256, 640), 255, np.uint8)) == 255)

    @pytest.mark.parametrize(("factor", "expected"), [(1, (1, 1)), (2, (3, 3)), (3, (3, 3)), (4, (5, 5))])
    def test_strong_reduction_is_filtered_first(self, factor: int, expected: tuple[int, int]) -> None:
        view = make_view(CameraModel("rgb", 64 * factor, 32 * factor, matrix(100, 100, 32, 16)), 64, 32)
        assert view.blur == expected
        stripes = np.zeros((32 * factor, 64 * factor), np.float32)
        stripes[:, ::2] = 1.0
        if factor > 1:
            assert view.apply(stripes)[:, 2:-2].std() < 0.26

    def test_wrong_image_size_names_the_camera_and_both_sizes(self) -> None:
        view = make_view(CameraModel("/nir/camera_info", 64, 32, matrix()), 32, 16)
        with pytest.raises(MsdepthError, match=r"^/nir/camera_info: image is 32 x 64 px .* 64 x 32 px; give"):
            view.apply(np.zeros((64, 32), np.uint8))
        with pytest.raises(MsdepthError, match="float64"):
            view.apply(np.zeros((32, 64)))

    def test_read_only_images_are_accepted(self) -> None:
        image = np.frombuffer(bytes(64 * 32), np.uint8).reshape(32, 64)
        assert make_view(CameraModel("nir", 64, 32, matrix()), 32, 16).apply(image).shape == (16, 32)


class TestToSensor:
    def test_identity_is_exact(self) -> None:
        view = make_view(CameraModel("rgb", 64, 32, matrix(80, 80, 30, 15)), 64, 32)
        depth = np.random.default_rng(0).uniform(1, 80, (32, 64)).astype(np.float32)
        depth[3, 4], depth[5, 6] = np.nan, np.inf
        np.testing.assert_array_equal(view.to_sensor(depth), depth)

    @pytest.mark.parametrize(("model", "coefficients"), [("none", ()), *LENSES])
    @pytest.mark.parametrize("size", [(320, 128), (640, 300)])
    def test_round_trip_of_a_plane(self, model: str, coefficients: tuple[float, ...], size: tuple[int, int]) -> None:
        """Values linear in the view's pixels must come back at the sensor pixel that OpenCV projects them to."""
        view = make_view(CameraModel("rgb", 640, 256, matrix(430, 425, 312, 131), model, coefficients), *size)
        columns, rows = ramps(*size)
        sensor = np.stack([view.to_sensor(columns), view.to_sensor(rows)], axis=-1)
        covered = np.argwhere(np.isfinite(sensor[..., 0]))
        assert len(covered) > 0.5 * 640 * 256
        inner = [
            (row, column)
            for row, column in covered[::997]
            if 1 < sensor[row, column, 0] < size[0] - 2 and 1 < sensor[row, column, 1] < size[1] - 2
        ]
        assert len(inner) > 50
        points = np.array([sensor[row, column] for row, column in inner])
        back = projected(view.camera, view_rays(view, points[:, 0], points[:, 1]))
        np.testing.assert_allclose(back, np.array(inner)[:, ::-1], atol=0.1)

    def test_outside_the_window_is_filled(self) -> None:
        view = make_view(CameraModel("nir", 1280, 352, matrix(638.9, 638.9, 632.7, 163.1)), 640, 256)
        depth = view.to_sensor(np.full((256, 640), 7.0, np.float32))
        covered = np.isfinite(depth)
        assert covered.sum() == 1144 * 352
        assert np.all(depth[covered] == 7.0)
        assert not covered[:, :68].any() and not covered[:, -68:].any()
        confidence = view.to_sensor(np.full((256, 640), 0.5, np.float32), fill=0.0)
        assert set(np.unique(confidence)) == {0.0, 0.5}

    @pytest.mark.parametrize("hole", [np.nan, np.inf])
    def test_holes_do_not_spread(self, hole: float) -> None:
        view = make_view(CameraModel("rgb", 128, 64, matrix(80, 80, 60, 30)), 64, 32)
        depth = np.full((32, 64), 5.0, np.float32)
        depth[10, 20] = hole
        sensor = view.to_sensor(depth)
        assert np.count_nonzero(~np.isfinite(sensor)) == 4
        assert not np.isfinite(sensor[20:22, 40:42]).any()
        assert np.all(sensor[np.isfinite(sensor)] == 5.0)

    def test_values_next_to_a_hole_are_taken_whole(self) -> None:
        view = make_view(CameraModel("rgb", 128, 64, matrix(80, 80, 60, 30)), 64, 32)
        depth = np.random.default_rng(1).uniform(1, 80, (32, 64)).astype(np.float32)
        depth[:, 21:] = np.nan
        assert np.isin(view.to_sensor(depth)[:, 41], depth[:, 20]).all()

    def test_wrong_size_is_refused(self) -> None:
        view = make_view(CameraModel("rgb", 64, 32, matrix()), 32, 16)
        with pytest.raises(MsdepthError, match="rgb: expected values of 32 x 16 px"):
            view.to_sensor(np.zeros((32, 64), np.float32))


class TestUnusualCalibrations:
    def test_skew_goes_back_and_forth(self) -> None:
        camera = CameraModel("nir", 64, 32, matrix() + np.array([[0, 3.0, 0], [0, 0, 0], [0, 0, 0]]))
        pixels = np.array([[0.0, 0.0], [10.0, 20.0], [63.0, 31.0]])
        rays = camera.rays(pixels)
        np.testing.assert_allclose(camera.pixels(rays), pixels, atol=1e-9)
        np.testing.assert_allclose(camera.k @ [*rays[1], 1], [*pixels[1], 1], atol=1e-9)
        assert camera.skew_px == 3.0

    def test_a_leaning_sensor_is_seen_straight(self) -> None:
        """A vertical line of the world lies on pixels that the skew shifts; in the network's view it is upright."""
        camera = CameraModel("nir", 64, 32, np.array([[80, 6.0, 31.5], [0, 80, 15.5], [0, 0, 1]]))
        ray = np.column_stack([np.full(640, 0.1), np.linspace(-0.2, 0.2, 640)])
        columns, rows = np.rint(camera.pixels(ray)).astype(int).T
        image = np.zeros((32, 64), np.uint8)
        kept = (columns >= 0) & (columns < 64) & (rows >= 0) & (rows < 32)
        image[rows[kept], columns[kept]] = 255
        view = make_view(camera, 64, 32)
        brightest = view.apply(image)[8:24].argmax(axis=1)
        assert np.ptp(brightest) <= 1
        expected = 0.1 * view.intrinsics[0, 0] + view.intrinsics[0, 2]
        assert np.abs(brightest - expected).max() <= 1

    def test_the_size_of_a_crop_may_be_given_as_the_sensors(self) -> None:
        info = {"k": [100, 0, 131.5, 0, 100, 15.5, 0, 0, 1], "d": [], "distortion_model": ""}
        crop = CameraModel.from_camera_info_fields("rgb", 64, 32, **info, roi=(100, 0, 64, 32))
        assert (crop.width, crop.height, crop.k[0, 2]) == (64, 32, 31.5)
        binned = CameraModel.from_camera_info_fields(
            "rgb", 32, 16, **info, binning_x=2, binning_y=2, roi=(100, 0, 64, 32)
        )
        assert (binned.width, binned.height) == (32, 16)


class TestChecks:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"width": 0}, "width is 0 px"),
            ({"height": -3}, "height is -3 px"),
            ({"width": 40000}, "width is 40000 px"),
            ({"k": [0.0] * 9}, "not calibrated"),
            ({"k": [100, 0, np.nan, 0, 100, 10, 0, 0, 1]}, "not finite"),
            ({"k": [np.inf, 0, 10, 0, 100, 10, 0, 0, 1]}, "not finite"),
            ({"k": [-100, 0, 10, 0, 100, 10, 0, 0, 1]}, "must be positive"),
            ({"k": [100, 0, 10, 0, 100, 10, 0, 0, 0]}, "K must be"),
            ({"k": [100, 0, 10, 5, 100, 10, 0, 0, 1]}, "K must be"),
            ({"k": [100, 20, 10, 0, 100, 10, 0, 0, 1]}, "a skew of 20 px, which no camera has"),
            ({"k": [100, 0, 10]}, "9 numbers"),
            ({"d": [0.1, 0.2]}, "takes 4 or 5 coefficients, got 2"),
            ({"d": [0.1, np.nan, 0, 0, 0]}, "not all finite"),
            ({"d": [0.1] * 5, "distortion_model": "rational_polynomial"}, "takes 8 or 12 or 14 coefficients, got 5"),
            ({"d": [], "distortion_model": "equidistant"}, "takes 4 coefficients, got 0"),
            ({"d": [0.1] * 5, "distortion_model": ""}, "takes 0 coefficients, got 5"),
            ({"d": [0.1] * 5, "distortion_model": "fov"}, "unknown distortion model 'fov'"),
            ({"roi": (60, 0, 10, 10)}, "leaves the sensor"),
            ({"roi": (-1, 0, 10, 10)}, "leaves the sensor"),
        ],
    )
    def test_bad_camera_info_is_refused_with_its_topic(self, changes: dict, message: str) -> None:
        fields = {
            "width": 64,
            "height": 32,
            "k": [100, 0, 31.5, 0, 100, 15.5, 0, 0, 1],
            "d": [0.0] * 5,
            "distortion_model": "plumb_bob",
        }
        assert CameraModel.from_camera_info_fields("/rgb/camera_info", **fields).width == 64
        with pytest.raises(MsdepthError, match=f"^/rgb/camera_info: .*{message}"):
            CameraModel.from_camera_info_fields("/rgb/camera_info", **(fields | changes))

    @pytest.mark.parametrize(
        ("model", "coefficients", "expected"),
        [
            ("plumb_bob", (), "none"),
            ("plumb_bob", (0.0,) * 5, "none"),
            ("rational_polynomial", (0.0,) * 8, "none"),
            ("", (), "none"),
            ("radtan", (0.1, 0.0, 0.0, 0.0), "plumb_bob"),
            ("equi", (0.0,) * 4, "equidistant"),
        ],
    )
    def test_no_distortion_is_recognised_and_aliases_are_resolved(
        self, model: str, coefficients: tuple[float, ...], expected: str
    ) -> None:
        assert CameraModel("rgb", 64, 32, matrix(), model, coefficients).distortion_model == expected

    def test_equidistant_with_zeros_still_bends(self) -> None:
        camera = CameraModel("rgb", 640, 256, matrix(300, 300), "equidistant", (0.0,) * 4)
        corner = looked_at(make_view(camera, 640, 256))[0, 0]
        assert projected(camera, np.array([[1.0, 0.0]]))[0, 0] == pytest.approx(319.5 + 300 * np.pi / 4)
        assert corner[0] > 0.0

    def test_absurd_distortion_is_refused(self) -> None:
        camera = CameraModel("nir", 640, 256, matrix(), "plumb_bob", (-5000.0, 0.0, 0.0, 0.0))
        with pytest.raises(MsdepthError, match="^nir: plumb_bob coefficients .* leave no usable image"):
            make_view(camera, 320, 128)

    @pytest.mark.parametrize("size", [(0, 10), (10, -1)])
    def test_empty_network_image_is_refused(self, size: tuple[int, int]) -> None:
        with pytest.raises(MsdepthError, match="must be at least 1"):
            make_view(CameraModel("rgb", 64, 32, matrix()), *size)

    def test_binning_and_region_of_interest_give_the_published_image(self) -> None:
        k = matrix(400, 410, 320.0, 250.0)
        camera = CameraModel.from_camera_info_fields(
            "rgb", 640, 480, k, [], "plumb_bob", binning_x=2, binning_y=2, roi=(100, 200, 400, 200)
        )
        assert (camera.width, camera.height) == (200, 100)
        np.testing.assert_allclose(camera.k, matrix(200, 205, 0.5 * 220.5 - 0.5, 0.5 * 50.5 - 0.5))

    def test_equal_cameras_are_equal_and_changed_ones_are_not(self) -> None:
        camera = CameraModel("rgb", 64, 32, matrix())
        assert camera == CameraModel("rgb", 64, 32, matrix()) and hash(camera) == hash(
            CameraModel("rgb", 64, 32, matrix())
        )
        assert camera != CameraModel("rgb", 64, 32, matrix(fx=401.0))
        assert camera != CameraModel("rgb", 64, 32, matrix(), "plumb_bob", (0.1, 0, 0, 0))

    def test_intrinsics_cannot_be_changed_behind_the_camera(self) -> None:
        k = matrix()
        camera = CameraModel("rgb", 64, 32, k)
        k[0, 0] = 1.0
        assert camera.k[0, 0] == 400.0
        with pytest.raises(ValueError, match="read-only"):
            camera.k[0, 0] = 1.0

    @given(st.lists(st.floats(), min_size=9, max_size=9), st.lists(st.floats(), max_size=9), st.text(max_size=12))
    @settings(max_examples=100, deadline=None)
    def test_any_camera_info_gives_a_camera_or_the_one_error(self, k: list[float], d: list[float], model: str) -> None:
        try:
            camera = CameraModel.from_camera_info_fields("topic", 64, 32, k, d, model)
        except MsdepthError as error:
            assert str(error).startswith("topic: ")
        else:
            assert np.all(np.isfinite(camera.k)) and np.all(np.isfinite(camera.distortion))
