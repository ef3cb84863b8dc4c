"""Puts the node's outputs, its inputs and the ground truth together again, set by set.

It takes serialized messages, so that it can run beside a live node without unpacking what nobody asks for: an image
is decoded only to score a set or to show a moment.

How the members of a set are found. A spectrum was in the set if its confidence image has any value above 0: the node
publishes an absent spectrum as all 0, and a spectrum that was there is 0 only where it does not see the pixel. The
newest image of the set is, over these spectra, the latest input stamp within the tolerance of the depth's stamp;
nearest first, as the synchronizer takes it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.bags.bag import CAMERA_INFO, DIAGNOSTICS, IMAGE, ros2_typestore
from msdepth_ros.bags.images import DecodedImage, decode_image, depth_metres
from msdepth_ros.bags.message_types import payload_stamp_ns
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.metrics import depth_metrics
from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.results.live import NodeReport, SetRecord
from msdepth_ros.results.moments import Moment, MomentKeeper
from msdepth_ros.scoring.ground_truth import sample_nearest

_HISTORY = 24  # inputs of each camera kept until their set arrives; 2.4 s at 10 Hz
_DROPS = ("dropped", "rejected")  # sets that a newer one replaced; images that were refused
_INFERENCE, _ERROR = ": inference", 2  # the task whose error means that there will be no depth
_SUBSAMPLE = 4  # every fourth pixel in each direction gives the mean confidence closely enough


@dataclass
class _OpenSet:
    """What has arrived so far of one set: payloads by channel."""

    first_ns: int
    depth_ns: int = 0
    parts: dict[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class RecorderConfig:
    """How sets are put together.

    Attributes:
        spectra: The spectra that the node publishes confidences for.
        tolerance_ns: Largest distance of an input, or of the truth, from the stamp of the depth.
        patience_ns: How long to wait for the rest of a set before scoring it as it is.
        moments: How many moments to keep in full.
        moment_spacing_ns: Least time between two kept moments, unless the set of spectra changed.
    """

    spectra: tuple[str, ...] = SPECTRA
    tolerance_ns: int = 40_000_000
    patience_ns: int = 500_000_000
    moments: int = 24
    moment_spacing_ns: int = 500_000_000


class Recorder:
    """Collects serialized messages and makes one record of each set.

    Channels: `input/<spectrum>`, `truth`, `truth_info`, `depth`, `depth_info`, `confidence`, `confidence/<spectrum>`,
    `diagnostics`.
    """

    def __init__(self, config: RecorderConfig) -> None:
        """Start with nothing."""
        self.config = config
        self.records: list[SetRecord] = []
        self.node = NodeReport()
        self.trouble = ""  # why the node cannot work, as its diagnostics say; empty while it can
        self.problems: dict[str, int] = {}
        self.moments = MomentKeeper(config.moments, config.moment_spacing_ns)
        self._types = ros2_typestore()
        self._recent: dict[str, OrderedDict[int, bytes]] = {}
        self._latest: dict[str, Any] = {}
        self._open: OrderedDict[int, _OpenSet] = OrderedDict()
        self._wanted = {"depth", "confidence", *(f"confidence/{spectrum}" for spectrum in config.spectra)}

    def add(self, channel: str, payload: bytes, received_ns: int) -> None:
        """Take one message.

        Args:
            channel: See the class.
            payload: The serialized message.
            received_ns: When it arrived.
        """
        if channel == "diagnostics":
            self._read_diagnostics(self._types.deserialize_cdr(payload, DIAGNOSTICS))
        elif channel.endswith("_info"):
            self._latest[channel] = self._types.deserialize_cdr(payload, CAMERA_INFO)
        elif channel in self._wanted:
            part = self._open.setdefault(payload_stamp_ns(payload), _OpenSet(received_ns))
            part.parts[channel] = payload
            if channel == "depth":
                part.depth_ns = received_ns
        else:
            history = self._recent.setdefault(channel, OrderedDict())
            history[payload_stamp_ns(payload)] = payload
            while len(history) > _HISTORY:
                history.popitem(last=False)
        self.poll(received_ns)

    def poll(self, now_ns: int) -> None:
        """Score the sets that are complete, or that have waited long enough."""
        for stamp_ns, waiting in list(self._open.items()):
            complete = self._wanted <= waiting.parts.keys() and "depth_info" in self._latest
            complete &= "truth" not in self._recent or self._nearest("truth", stamp_ns) is not None
            if complete or now_ns - waiting.first_ns > self.config.patience_ns:
                del self._open[stamp_ns]
                if waiting.depth_ns:
                    self._finish(stamp_ns, waiting)

    def flush(self) -> None:
        """Score everything that is left."""
        self.poll(1 << 62)

    def _finish(self, stamp_ns: int, arrived: _OpenSet) -> None:
        """Score one set and remember it."""
        try:
            images = {channel: self._image(channel, payload) for channel, payload in arrived.parts.items()}
            record, truth_m = self._score(stamp_ns, arrived.depth_ns, images)
        except MsdepthError as error:
            self._complain(str(error))
            return
        self.records.append(record)
        if self.moments.wants(record):
            self.moments.keep(self._moment(record, images, truth_m))

    def _image(self, channel: str, payload: bytes) -> DecodedImage:
        """Decode a serialized image."""
        return decode_image(channel, self._types.deserialize_cdr(payload, IMAGE))

    def _score(
        self, stamp_ns: int, received_ns: int, images: Mapping[str, DecodedImage]
    ) -> tuple[SetRecord, NDArray[np.float32] | None]:
        """Record of one set, and the truth in metres if there is one for it."""
        means = {
            channel.rpartition("/")[2]: float(np.mean(image.pixels[::_SUBSAMPLE, ::_SUBSAMPLE]))
            for channel, image in images.items()
            if channel.startswith("confidence")
        }
        present = tuple(s for s in self.config.spectra if f"confidence/{s}" in images and _any(images, s))
        stamps = [self._nearest(f"input/{spectrum}", stamp_ns) for spectrum in present]
        newest_ns = max((stamp for stamp in stamps if stamp is not None), default=stamp_ns)
        truth_stamp = self._nearest("truth", stamp_ns)
        truth_m, scores = None, None
        if truth_stamp is not None:
            truth_m = depth_metres("truth", self._image("truth", self._recent["truth"][truth_stamp]))
            scores = self._compare(depth_metres("depth", images["depth"]), truth_m)
        record = SetRecord(
            stamp_ns=stamp_ns,
            newest_ns=newest_ns,
            received_ns=received_ns,
            spectra=present,
            abs_rel=scores[0] if scores else None,
            coverage=scores[1] if scores else None,
            confidence=means.get("confidence"),
            view_confidence={spectrum: means[spectrum] for spectrum in present},
        )
        return record, truth_m

    def _nearest(self, channel: str, stamp_ns: int) -> int | None:
        """Stamp of the message on a channel nearest to a stamp, if within the tolerance."""
        stamps = self._recent.get(channel, OrderedDict())
        nearest = min(stamps, key=lambda stamp: abs(stamp - stamp_ns), default=None)
        return nearest if nearest is not None and abs(nearest - stamp_ns) <= self.config.tolerance_ns else None

    def _compare(self, depth_m: NDArray[np.float32], truth_m: NDArray[np.float32]) -> tuple[float, float] | None:
        """AbsRel and coverage of a depth against the truth; None, with a reason noted, if they cannot be compared."""
        warped = self.depth_at_truth(depth_m)
        metrics = None if warped is None else depth_metrics(warped, truth_m, alignment="none")
        return None if metrics is None else (float(metrics.abs_rel), float(metrics.coverage))

    def depth_at_truth(self, depth_m: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Depth on the pixels of the ground truth, or None where the two cannot be compared."""
        depth_info, truth_info = self._latest.get("depth_info"), self._latest.get("truth_info")
        if depth_info is None or truth_info is None:
            self._complain("no camera_info beside the depth or the ground truth: depth is not scored")
            return None
        if depth_info.header.frame_id != truth_info.header.frame_id:
            self._complain(
                f"depth is in frame {depth_info.header.frame_id}, the ground truth in {truth_info.header.frame_id}: "
                "depth is not scored"
            )
            return None
        size = (int(truth_info.width), int(truth_info.height))
        return resample_depth(depth_m, np.reshape(depth_info.k, (3, 3)), np.reshape(truth_info.k, (3, 3)), size)

    def _moment(
        self, record: SetRecord, images: Mapping[str, DecodedImage], truth_m: NDArray[np.float32] | None
    ) -> Moment[SetRecord]:
        """A set in full: inputs, outputs and truth."""
        inputs: dict[str, DecodedImage] = {}
        for spectrum in self.config.spectra:
            stamp_ns = self._nearest(f"input/{spectrum}", record.stamp_ns)
            if stamp_ns is not None:
                channel = f"input/{spectrum}"
                inputs[spectrum] = self._image(channel, self._recent[channel][stamp_ns])
        depth_m = depth_metres("depth", images["depth"])
        depth_info = self._latest.get("depth_info")
        confidences = {
            channel.rpartition("/")[2]: np.round(255 * np.clip(image.pixels, 0, 1)).astype(np.uint8)
            for channel, image in images.items()
            if channel.startswith("confidence")
        }
        return Moment(
            record=record,
            inputs=inputs,
            depth_m=depth_m,
            confidences=confidences,
            truth_m=truth_m,
            depth_at_truth_m=None if truth_m is None else self.depth_at_truth(depth_m),
            fx_over_fy=1.0 if depth_info is None else float(depth_info.k[0] / depth_info.k[4]),
        )

    def _read_diagnostics(self, message: Any) -> None:
        """Take the node's account of itself from its diagnostics."""
        statuses = [status for status in message.status if status.name.partition(":")[0].endswith("fused_depth")]
        self.trouble = next((s.message for s in statuses if s.name.endswith(_INFERENCE) and s.level == _ERROR), "")
        pairs = [(item.key, item.value) for status in statuses for item in status.values]
        values = dict(pairs)
        if "model" not in values:
            return
        model_ms = values.get("inference_ms_p50")
        self.node = NodeReport(
            model=" ".join(filter(None, [values["model"], values.get("model_version")])),
            providers=tuple(filter(None, values.get("providers", "").split(","))),
            model_ms_p50=float(model_ms) if model_ms else self.node.model_ms_p50,
            dropped=sum(int(value) for key, value in pairs if key in _DROPS or key.startswith("images_dropped_")),
        )

    def _complain(self, problem: str) -> None:
        """Count a problem for the report."""
        self.problems[problem] = self.problems.get(problem, 0) + 1


def _any(images: Mapping[str, DecodedImage], spectrum: str) -> bool:
    """Whether a spectrum's confidence says that it was in the set."""
    return bool(np.any(images[f"confidence/{spectrum}"].pixels > 0))


def resample_depth(
    depth_m: NDArray[np.float32], depth_k: NDArray[Any], truth_k: NDArray[Any], size: tuple[int, int]
) -> NDArray[np.float32]:
    """Depth seen by another pinhole camera at the same place: nearest pixel, NaN outside.

    Args:
        depth_m: float32 [H,W], metres along z.
        depth_k: 3 x 3 intrinsics of `depth_m`, pixels.
        truth_k: 3 x 3 intrinsics of the wanted camera, pixels.
        size: Width and height wanted.
    """
    width, height = size
    truth_to_depth = np.asarray(depth_k, dtype=np.float64) @ np.linalg.inv(np.asarray(truth_k, dtype=np.float64))
    columns = (truth_to_depth[0, 0] * np.arange(width) + truth_to_depth[0, 2]).astype(np.float32)
    rows = (truth_to_depth[1, 1] * np.arange(height) + truth_to_depth[1, 2]).astype(np.float32)
    map_x, map_y = np.meshgrid(columns, rows)
    return sample_nearest(depth_m, (map_x, map_y))
