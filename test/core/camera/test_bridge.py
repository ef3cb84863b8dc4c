"""Our table of encodings against cv_bridge, for every encoding that both know, and encodings that only it knows."""

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from msdepth_ros.core.camera import images
from msdepth_ros.core.camera.images import as_rgb, decode_image
from msdepth_ros.core.errors import MsdepthError

GENERATOR = np.random.default_rng(5)
WIDTH, HEIGHT = 16, 8


def message(encoding: str) -> Any:
    """A smooth picture, so that ways to fill in a mosaic hardly differ."""
    known = images._ENCODINGS[encoding]  # noqa: SLF001  the table is what is compared
    small = GENERATOR.integers(30, 220, (3, 3, known.channels)).astype(np.float32)
    pixels = cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR).reshape(HEIGHT, WIDTH, known.channels)
    if known.dtype is np.uint16:
        pixels *= 256
    data = np.ascontiguousarray(pixels.astype(known.dtype))
    return SimpleNamespace(
        encoding=encoding, height=HEIGHT, width=WIDTH, is_bigendian=0, step=data.strides[0],
        data=data.view(np.uint8).reshape(-1),
    )  # fmt: skip


@pytest.mark.parametrize("encoding", images._ENCODINGS)  # noqa: SLF001
def test_the_table_agrees_with_cv_bridge(encoding: str) -> None:
    bridge = pytest.importorskip("cv_bridge", reason="cv_bridge is not installed").CvBridge()
    given = message(encoding)
    ours = decode_image(given)
    wanted = {"rgb8": "rgb8", "rgb16": "rgb16", "bgr16": "rgb16"}.get(ours.encoding, encoding)
    try:
        theirs = bridge.imgmsg_to_cv2(given, wanted)
    except Exception as error:  # noqa: BLE001  it raises whatever it meets
        pytest.skip(f"cv_bridge does not convert {encoding} to {wanted}: {type(error).__name__}")
    if encoding == "16UC1" and theirs.dtype == np.uint8:
        pytest.skip("the table of cv_bridge 1.13.0.post0 takes 16UC1 for 8 bits")
    np.testing.assert_array_equal(as_rgb(ours) if wanted.startswith("rgb") else ours.pixels, theirs)


def test_what_only_cv_bridge_knows_is_decoded_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv_bridge", reason="cv_bridge is not installed")
    given = message("bayer_rggb8")
    expected = decode_image(given).pixels
    monkeypatch.delitem(images._ENCODINGS, "bayer_rggb8")  # noqa: SLF001  so that only cv_bridge knows it
    found = decode_image(given)
    assert found.encoding == "rgb8"
    np.testing.assert_array_equal(found.pixels, expected)


def test_what_nobody_knows_is_refused() -> None:
    given = message("mono8")
    given.encoding = "rainbow7"
    with pytest.raises(MsdepthError, match="encoding 'rainbow7' is not supported; publish one of rgb8.*cv_bridge"):
        decode_image(given)


def test_without_cv_bridge_it_is_named() -> None:
    code = (
        "import sys; sys.modules['cv_bridge'] = None\n"
        "from types import SimpleNamespace as N\n"
        "from msdepth_ros.core.camera.images import decode_image\n"
        "try: decode_image(N(encoding='nv12', step=4, width=4, height=4, data=bytes(16), is_bigendian=0))\n"
        "except Exception as error: print(type(error).__name__, error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.startswith("MsdepthError encoding 'nv12' is not supported")
    assert "cv_bridge, which may know it, is not installed" in said
