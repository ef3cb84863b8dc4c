"""What a model has to say about itself before it is run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import models
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.model.info import default_model_path, read_model
from msdepth_ros.core.model.onnx_header import read_onnx_header

SHIPPED = sorted(default_model_path().parent.glob("*.onnx"))
LIMIT_BYTES = 30_000_000
"""Of all model files together."""


def test_models_that_ship_are_small() -> None:
    assert sum(path.stat().st_size for path in SHIPPED) < LIMIT_BYTES


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_model_that_ships_keeps_the_contract(path: Path) -> None:
    data, info = read_model(path)
    assert info.name == path.stem.removesuffix(".int8") and info.version == info.card["version"]
    assert info.width % 32 == info.height % 32 == 0
    assert info.spectra == ("rgb", "nir", "thermal")
    assert 0 < info.min_m < info.max_m
    assert 16 <= info.opset <= 19
    assert len(data) == info.path.stat().st_size
    assert info.card["sha256"] == info.sha256


def test_header_is_what_onnx_reads(tmp_path: Path) -> None:
    for path in (default_model_path(), models.toy_model(tmp_path / "toy.onnx")):
        header, model = read_onnx_header(path.read_bytes()), onnx.load(path)
        assert header.metadata == {prop.key: prop.value for prop in model.metadata_props}
        assert header.opset == next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))


@pytest.mark.parametrize(
    ("entries", "complaint"),
    [
        ({"msdepth_contract": "3"}, "contract version '3' but this release knows 1 and 2"),
        ({"msdepth_contract": "1.0"}, "contract version '1.0' but"),
        ({"msdepth_contract": None}, "lack 'msdepth_contract'"),
        ({"spectra": "rgb,radar"}, "spectra are rgb, radar"),
        ({"spectra": "rgb,rgb"}, "each once"),
        ({"spectra": ""}, "lack 'spectra'"),
        ({"normalisation": "{"}, "normalisation is not JSON"),
        ({"normalisation": '{"rgb": "scale"}'}, "this release computes"),
        ({"normalisation": "[]"}, "this release computes"),
        ({"width": None}, "lack 'width'"),
        ({"height": "12.5"}, "whole number"),
        ({"height": "-256"}, "whole number"),
        ({"depth_min_m": "near"}, "no number"),
        ({"depth_max_m": "inf"}, "no number"),
        ({"depth_min_m": "900"}, "positive and rising"),
        ({"depth_min_m": "0"}, "positive and rising"),
    ],
)
def test_metadata_that_break_the_contract_are_refused(
    tmp_path: Path, entries: dict[str, str | None], complaint: str
) -> None:
    path = models.changed_copy(tmp_path, lambda model: models.set_metadata(model, **entries))
    with pytest.raises(MsdepthError, match=complaint) as caught:
        read_model(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(("opset", "good"), [(15, False), (16, True), (19, True), (20, False), (23, False)])
def test_opset_must_be_one_that_every_provider_runs_alike(tmp_path: Path, opset: int, good: bool) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.opset_import[0].version = opset

    path = models.changed_copy(tmp_path, change)
    if good:
        assert read_model(path)[1].opset == opset
    else:
        with pytest.raises(MsdepthError, match=f"opset {opset}"):
            read_model(path)


def test_hash_that_differs_from_the_card_is_refused(tmp_path: Path) -> None:
    path = models.toy_model(tmp_path / "toy.onnx")
    card = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps(card | {"sha256": "0" * 64}))
    with pytest.raises(MsdepthError, match="its SHA-256 is [0-9a-f]{64} but its card says 0000") as caught:
        read_model(path)
    assert card["sha256"] in str(caught.value)
    assert read_model(path, verify=False)[1].sha256 == card["sha256"]


def test_one_changed_byte_is_noticed(tmp_path: Path) -> None:
    path = models.toy_model(tmp_path / "toy.onnx")
    data = path.read_bytes()
    place = data.index(b"mean_image")
    path.write_bytes(data[:place] + b"M" + data[place + 1 :])
    with pytest.raises(MsdepthError, match="changed or damaged"):
        read_model(path)


@pytest.mark.parametrize(("text", "complaint"), [("{", "cannot be read"), ("[]", "must be a JSON object")])
def test_unreadable_card_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    path = models.toy_model(tmp_path / "toy.onnx")
    path.with_suffix(".json").write_text(text)
    with pytest.raises(MsdepthError, match=complaint):
        read_model(path)


def test_card_of_another_file_is_refused(tmp_path: Path) -> None:
    path = models.toy_model(tmp_path / "toy.onnx")
    moved = path.rename(tmp_path / "other.onnx")
    path.with_suffix(".json").rename(moved.with_suffix(".json"))
    with pytest.raises(MsdepthError, match=r"toy\.onnx; keep the name"):
        read_model(moved)


def test_card_may_only_be_missing_where_nobody_asks(tmp_path: Path) -> None:
    path = models.toy_model(tmp_path / "toy.onnx")
    path.with_suffix(".json").unlink()
    with pytest.raises(MsdepthError, match=r"card toy\.json is missing"):
        read_model(path)
    assert read_model(path, verify=False)[1].card == {}


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MsdepthError, match=r"none\.onnx: cannot be read"):
        read_model(tmp_path / "none.onnx")


@given(st.binary(max_size=200))
def test_anything_but_a_model_is_refused_as_such(data: bytes) -> None:
    with pytest.raises(MsdepthError, match="not an ONNX model"):
        read_onnx_header(data)


@given(st.data())
def test_truncated_model_is_refused(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    path = models.toy_model(tmp_path_factory.getbasetemp() / "toy.onnx")
    content = path.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    with pytest.raises(MsdepthError, match=r"toy\.onnx"):
        read_model(path)


def test_default_model_can_be_chosen_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MSDEPTH_MODEL", str(tmp_path / "mine.onnx"))
    assert default_model_path() == tmp_path / "mine.onnx"


def test_default_model_is_found_where_it_was_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MSDEPTH_MODEL", raising=False)
    elsewhere = tmp_path / "lib" / "site-packages" / "msdepth_ros" / "core" / "model" / "info.py"
    monkeypatch.setattr("msdepth_ros.core.model.info.__file__", str(elsewhere))
    monkeypatch.setattr("sys.prefix", str(tmp_path / "prefix"))
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path / 'empty'}:{tmp_path / 'install'}")
    with pytest.raises(MsdepthError, match="no default model"):
        default_model_path()
    for prefix in ("prefix", "install"):
        folder = tmp_path / prefix / "share" / "msdepth_ros" / "models"
        folder.mkdir(parents=True)
        (folder / "tiny.onnx").write_bytes(b"")
        assert default_model_path() == folder / "tiny.onnx"
