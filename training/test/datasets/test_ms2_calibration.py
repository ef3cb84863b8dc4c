import io
import os
import pickle
import sys

import numpy as np
import pytest
from ms2_tree import SIZES, calibration, poses, write_calibration
from numpy.lib import format as npy

from msdepth_training.datasets.ms2_calibration import MAX_BYTES, read_calibration, read_rig
from msdepth_training.errors import TrainingError

SIZE = {"rgb": SIZES["rgb"], "nir": SIZES["nir"], "thermal": SIZES["thr"]}


def object_file(path, pickled: bytes):
    """An .npy file of one object whose pickle is this."""
    stream = io.BytesIO()
    npy.write_array_header_1_0(stream, {"descr": "|O", "fortran_order": False, "shape": ()})
    path.write_bytes(stream.getvalue() + pickled)
    return path


def object_array(value):
    array = np.empty((), object)
    array[()] = value
    return array


class Calls:
    """Unpickled by pickle itself, it would call something."""

    def __init__(self, function, arguments, *state):
        self.call = function, arguments, *state

    def __reduce__(self):
        return self.call


def test_what_numpy_saved_is_read(tmp_path):
    written = {
        **calibration(),
        "f32": np.arange(6, dtype=">f4").reshape(2, 3),
        "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "scalar": np.float64(1.5),
        "text": "a",
        "number": 2,
        "nested": {"list": [1, 2.5, None, True], "objects": np.array([1, "b"], object)},
    }
    write_calibration(tmp_path / "calib.npy", written)
    read = read_calibration(tmp_path / "calib.npy")
    assert list(read) == list(written)
    for name, value in written.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(read[name], value)
            assert read[name].dtype == value.dtype
    assert read["scalar"] == 1.5 and read["text"] == "a" and read["number"] == 2
    assert read["nested"] == {"list": [1, 2.5, None, True], "objects": [1, "b"]}


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("module", [b"numpy.core", b"numpy._core"])
def test_files_of_older_and_newer_numpy_are_read(tmp_path, protocol, module):
    pickled = pickle.dumps(object_array(calibration()), protocol=protocol)
    name = np.zeros(1).__reduce__()[0].__module__.encode()
    replacement = module + name[name.rindex(b".") :]
    if protocol == 3:  # names are lines of text; from protocol 4 on their length goes before them
        pickled = pickled.replace(name + b"\n", replacement + b"\n")
    else:
        pickled = pickled.replace(bytes([len(name)]) + name, bytes([len(replacement)]) + replacement)
        pickled = b"\x80\x04" + pickled[11:]  # without the frame, whose length has changed
    read = read_calibration(object_file(tmp_path / "calib.npy", pickled))
    np.testing.assert_array_equal(read["K_thrL"], calibration()["K_thrL"])


def test_what_would_run_code_is_refused_and_not_run(tmp_path):
    mark = tmp_path / "was here"
    for function, arguments, name in (
        (os.mkdir, (str(mark),), f"{os.mkdir.__module__}.mkdir"),
        (eval, (f"__import__('os').mkdir({str(mark)!r})",), "builtins.eval"),
        (sys.exit, (3,), "sys.exit"),
    ):
        path = tmp_path / "calib.npy"
        np.save(path, {**calibration(), "K_rgbL": Calls(function, arguments)}, allow_pickle=True)
        with pytest.raises(TrainingError, match=f"calib.npy wants {name}, which is refused"):
            read_calibration(path)
    assert not mark.exists()


def test_the_same_files_do_harm_when_unpickled(tmp_path):
    """Otherwise the test above would show nothing."""
    mark = tmp_path / "was here"
    np.save(tmp_path / "calib.npy", object_array(Calls(os.mkdir, (str(mark),))), allow_pickle=True)
    np.load(tmp_path / "calib.npy", allow_pickle=True)
    assert mark.exists()


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        (b"cnumpy\nload\n", "numpy.load"),
        (b"cnumpy.core.multiarray\nfromfile\n", "numpy.core.multiarray.fromfile"),
        (b"cfunctools\npartial\n", "functools.partial"),
        (b"cmsdepth_training.errors\nTrainingError\n", "msdepth_training.errors.TrainingError"),
    ],
)
def test_every_other_name_is_refused(tmp_path, reference, why):
    path = object_file(tmp_path / "calib.npy", b"\x80\x03" + reference + b"(tR.")
    with pytest.raises(TrainingError, match=f"wants {why}, which is refused"):
        read_calibration(path)


@pytest.mark.parametrize("code", ["O8", "V16", "M8", "S5", "f8, O"])
def test_only_numbers_become_arrays(tmp_path, code):
    """A dtype of objects with bytes for content would be pointers."""
    dtype = Calls(np.dtype, (code, False, True), (3, "|", None, None, None, -1, -1, 0))
    rebuild, arguments, _ = np.zeros(1).__reduce__()
    array = Calls(rebuild, arguments, (1, (1,), dtype, False, b"AAAAAAAA"))
    np.save(tmp_path / "calib.npy", object_array({"K_rgbL": array}), allow_pickle=True)
    with pytest.raises(TrainingError, match="wants an array of"):
        read_calibration(tmp_path / "calib.npy")


def test_attributes_of_the_stand_ins_cannot_be_set(tmp_path):
    path = object_file(tmp_path / "calib.npy", b"\x80\x03cnumpy\ndtype\n}X\x04\x00\x00\x00nameK\x01sb.")
    with pytest.raises(TrainingError, match="a state for dtype itself"):
        read_calibration(path)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "not a calibration"),
        (b"no npy file at all", "not a calibration"),
        (b"\x93NUMPY\x01\x00\x10\x00{'descr': '|O'", "not a calibration"),
        (b"\x93NUMPY\x01\x00" + b" " * MAX_BYTES, "more than"),
    ],
)
def test_other_files_are_refused(tmp_path, content, why):
    (tmp_path / "calib.npy").write_bytes(content)
    with pytest.raises(TrainingError, match=f"calib.npy.*{why}"):
        read_calibration(tmp_path / "calib.npy")


@pytest.mark.parametrize(
    "pickled",
    [
        b"",
        b"\x80",
        b"\x80\x03.",
        b"\x80\x03}",
        b"\x80\x04\x96\xff\xff\xff\xff\x00\x00\x00\x00.",
    ],
)
def test_broken_pickles_are_refused_without_filling_memory(tmp_path, pickled):
    with pytest.raises(TrainingError, match="is not a calibration as np.save writes it"):
        read_calibration(object_file(tmp_path / "calib.npy", pickled))


def test_a_memo_of_gigabytes_is_refused_before_it_is_made(tmp_path):
    with pytest.raises(TrainingError, match="its memo has an entry 134217727"):
        read_calibration(object_file(tmp_path / "calib.npy", b"\x80\x03K\x01r\xff\xff\xff\x07."))


@pytest.mark.parametrize("value", [[1, 2], "text", {1: 2}])
def test_something_else_than_a_dictionary_of_names_is_refused(tmp_path, value):
    np.save(tmp_path / "calib.npy", object_array(value), allow_pickle=True)
    with pytest.raises(TrainingError, match="holds no dictionary"):
        read_calibration(tmp_path / "calib.npy")


def test_a_plain_array_is_refused(tmp_path):
    np.save(tmp_path / "calib.npy", np.eye(3))
    with pytest.raises(TrainingError, match="not one pickled dictionary"):
        read_calibration(tmp_path / "calib.npy")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(TrainingError, match="cannot read .*calib.npy"):
        read_calibration(tmp_path / "calib.npy")


def test_the_rig_is_in_metres(tmp_path):
    write_calibration(tmp_path / "calib.npy", calibration())
    rig = read_rig(tmp_path / "calib.npy", SIZE)
    assert rig.spectra == ("rgb", "nir", "thermal")
    for spectrum, band in (("rgb", "rgb"), ("nir", "nir"), ("thermal", "thr")):
        np.testing.assert_allclose(np.linalg.inv(rig.camera_from_rig[spectrum]), poses()[band], atol=1e-9)
        assert (rig.cameras[spectrum].width, rig.cameras[spectrum].height) == SIZES[band]
        np.testing.assert_array_equal(rig.cameras[spectrum].k, calibration()[f"K_{band}L"])


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"T_nir2thr": calibration()["T_nir2thr"] / 1000}, "T_nir2thr is 0.6.* millimetres"),
        ({"T_nir2thr": calibration()["T_nir2thr"] * 1000}, "looks like millimetres"),
        ({"R_nir2rgb": 2 * np.eye(3)}, "not rigid"),
        ({"K_nirL": np.zeros((3, 3))}, "K_nirL.* must be positive"),
        ({"K_thrL": np.eye(4)}, "K_thrL must be 9 finite numbers"),
        ({"T_nir2rgb": "far"}, "T_nir2rgb is not 3 numbers"),
    ],
)
def test_a_rig_that_cannot_be_is_refused(tmp_path, change, why):
    write_calibration(tmp_path / "calib.npy", {**calibration(), **change})
    with pytest.raises(TrainingError, match=f"calib.npy.*{why}"):
        read_rig(tmp_path / "calib.npy", SIZE)


def test_what_is_missing_is_named(tmp_path):
    content = calibration()
    del content["K_nirL"], content["R_nir2thr"]
    write_calibration(tmp_path / "calib.npy", content)
    with pytest.raises(TrainingError, match="calib.npy lacks K_nirL, R_nir2thr"):
        read_rig(tmp_path / "calib.npy", SIZE)
