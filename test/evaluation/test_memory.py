"""Memory of an evaluation does not grow with the length of the recording."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import drives
import numpy as np
import pytest
from bags import IMAGE, INFO, START_NS, TYPES
from rosbags.rosbag2 import StoragePlugin, Writer

pytest.importorskip("pyarrow", reason="evaluate needs the extra [report]")

import models

HOUR_S, MINUTE_S = 3600, 60
PERIOD_NS = 400_000_000
# Not ru_maxrss: that of a child begins with what its parent, here all of pytest, had when it started it.
MEASURE = """
import json, sys
from msdepth_ros import cli
code = cli.main(sys.argv[1:])
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
print(json.dumps({"code": code, "peak_kib": int(peak.split()[1])}))
"""
LAYOUT = {"rgb": ("bgr8", (16, 8)), "nir": ("mono8", (16, 8)), "ground_truth": ("16UC1", (16, 8))}


def write_long(folder: Path, seconds: int, period_ns: int = PERIOD_NS) -> Path:
    """A recording of tiny images, long in time."""
    generator = np.random.default_rng(0)
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        images, payloads = {}, {}
        for name, (encoding, (width, height)) in LAYOUT.items():
            frame = f"{'rgb' if name == 'ground_truth' else name}_optical_frame"
            info = writer.add_connection(f"/{name}/camera_info", INFO, typestore=TYPES)
            message = drives.camera_info(START_NS, frame, (width, height))
            writer.write(info, START_NS, TYPES.serialize_cdr(message, INFO))
            topic = "/ground_truth/depth" if name == "ground_truth" else f"/{name}/image"
            images[name] = writer.add_connection(topic, IMAGE, typestore=TYPES)
            shape = (height, width, 3) if name == "rgb" else (height, width)
            kind = np.uint16 if name == "ground_truth" else np.uint8
            pixels = generator.integers(1, 250, shape).astype(kind) * (20 if kind == np.uint16 else 1)
            image = drives.raw_image(START_NS, frame, pixels.astype(kind), encoding)
            payloads[name] = bytearray(TYPES.serialize_cdr(image, IMAGE))
        for index in range(seconds * 10**9 // period_ns):
            stamp_ns = START_NS + index * period_ns
            for name, payload in payloads.items():
                payload[4:12] = np.array([stamp_ns // 10**9, stamp_ns % 10**9], "<u4").tobytes()
                payload[-8:] = np.array([index], "<u8").tobytes()  # no image repeats another
                writer.write(images[name], stamp_ns, bytes(payload))
    rig = drives.rig()
    cameras = {}
    for name in ("rgb", "nir"):
        width, height = LAYOUT[name][1]
        k = np.array([[width, 0, (width - 1) / 2], [0, width, (height - 1) / 2], [0, 0, 1.0]])
        cameras[name] = type(rig.cameras[name])(name, width, height, k)
    type(rig)(cameras, {name: rig.camera_from_rig[name] for name in cameras}).save(folder / "rig.yaml")
    return folder


def peak_mib(bag: Path, model: Path, out: Path) -> tuple[float, int]:
    """Peak of the resident memory of the command, and how many sets it computed."""
    arguments = ["evaluate", str(bag), "--model", str(model), "--out", str(out), "--drop", "thermal"]
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *arguments], capture_output=True, text=True, check=True, timeout=900
    )
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["code"] == 0, done.stderr
    document = json.loads((out / "metrics.json").read_text())
    return result["peak_kib"] / 1024, document["results"]["rgb+nir"]["all"]["sets_with_truth"]


@pytest.mark.timeout(900)
def test_an_hour_takes_hardly_more_memory_than_a_minute(tmp_path: Path) -> None:
    model = models.toy_model(tmp_path / "toy.onnx", added_m=2.0)
    minute, short = peak_mib(write_long(tmp_path / "minute", MINUTE_S), model, tmp_path / "short")
    hour, long = peak_mib(write_long(tmp_path / "hour", HOUR_S), model, tmp_path / "long")
    print(f"peak of a minute ({short} sets): {minute:.0f} MiB, of an hour ({long} sets): {hour:.0f} MiB")
    assert (short, long) == (MINUTE_S * 10**9 // PERIOD_NS, HOUR_S * 10**9 // PERIOD_NS)
    assert hour < 1.2 * minute
    assert (tmp_path / "long" / "report.html").stat().st_size < 15_000_000
