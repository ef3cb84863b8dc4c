"""What each kind of network answers for a row, with calibrated confidence."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from msdepth_ros.core.spectra import SPECTRA
from msdepth_training.batch import Batch
from msdepth_training.calibrate import Line
from msdepth_training.confidence import probability_within_factor
from msdepth_training.networks import PaperFusion, SpectralDepth
from msdepth_training.objective import subsample
from msdepth_training.results.rows import Row
from msdepth_training.scenes.faults import IMAGE_FAULTS, possible
from msdepth_training.score import Answers
from msdepth_training.stages.batches import make_batch
from msdepth_training.stages.sources import Frames

FUSED = "fused"
"""Name of a row's own answer; `view_<spectrum>` is a view's own evidence in its own frame."""


def victims(fault: str, index: Sequence[int]) -> list[int]:
    """The camera that a fault befalls, one for each frame, each of those that it can befall equally often."""
    choices = [n for n, s in enumerate(SPECTRA) if possible(fault, s)]
    digests = (hashlib.sha256(f"{fault} {i}".encode()).digest() for i in index)
    return [choices[digest[0] % len(choices)] for digest in digests]


def another_moment(frames: Frames, index: Tensor) -> Tensor:
    """Int [B], another frame of the same sequence, where there is one: the one before, or else the one after."""
    before = frames.previous[index]
    after = (index + 1).clamp(max=len(frames) - 1)
    after = torch.where(frames.previous[after] == index, after, index)
    return torch.where(before == index, after, before)


def broken(batch: Batch, frames: Frames, index: Tensor, fault: str) -> Batch:
    """A batch with one camera of each frame broken; see `victims`. A frozen one shows another moment of its street."""
    images, present = batch.images.clone(), batch.present.clone()
    elsewhere = frames.views(another_moment(frames, index)).to(images.device) if fault == "frozen" else images
    for b, (i, n) in enumerate(zip(index.tolist(), victims(fault, index.tolist()), strict=True)):
        if fault == "missing":
            present[b, n] = 0.0
        elif fault == "frozen":
            images[b, n] = elsewhere[b, n]
        else:
            images[b, n] = IMAGE_FAULTS[fault](images[b, n], np.random.default_rng([i, n]))
    return batch._replace(images=images, present=present)


def batch_of(frames: Frames, index: Tensor, row: Row, device: torch.device) -> Batch:
    """The frames of a row, all views, what is broken broken."""
    batch = make_batch(frames, index, torch.full((len(index),), row.reference)).to(device)
    return broken(batch, frames, index, row.fault) if row.fault else batch


def _answers(log_depth: Tensor, log_scale: Tensor, truth_m: Tensor, line: Line, limits: tuple[float, float]) -> Answers:
    confidence = probability_within_factor(log_scale.float() * line[0] + line[1])
    parts = (log_depth.float().exp().clamp(*limits), confidence, truth_m)
    return Answers(*(part.cpu().numpy() for part in parts))


def answer(network: nn.Module, batch: Batch, row: Row, lines: Mapping[str, Line]) -> dict[str, Answers]:
    """A network's answers to a batch.

    Args:
        network: of any kind, in eval mode.
        batch: from `batch_of`.
        row: which views it gets.
        lines: its calibration.

    Returns:
        `fused`, and for recipe msdepth `view_<spectrum>` of every view it gets.
    """
    config, truth = network.config, batch.depth_m[:, row.reference]
    limits = (config.min_m, config.max_m)
    views = list(row.views)
    with torch.no_grad():
        if isinstance(network, SpectralDepth):
            out = network(batch.images[:, row.reference], batch.k[:, row.reference])
            return {FUSED: _answers(out.log_depth, out.log_scale, truth, lines[SPECTRA[row.reference]], limits)}
        if isinstance(network, PaperFusion):
            out = network(batch.images, batch.k, batch.view_from_reference, batch.reference, batch.present)
            return {FUSED: _answers(out.log_depth, out.log_scale, truth, lines[SPECTRA[row.reference]], limits)}
        out = network(
            batch.images[:, views], batch.k[:, views], batch.view_from_reference[:, views], batch.reference_k(),
            batch.present[:, views],
        )  # fmt: skip
    fused = "fused" if len(views) > 1 else f"fused_{SPECTRA[views[0]]}"
    found = {FUSED: _answers(out.log_depth, out.log_scale, truth, lines[fused], limits)}
    log_depth, log_scale = (x[:, 0].unflatten(0, (-1, len(views))) for x in (out.view.log_depth, out.view.log_scale))
    for position, n in enumerate(views):
        own = subsample(batch.depth_m[:, n], 8)
        name = f"view_{SPECTRA[n]}"
        found[name] = _answers(log_depth[:, position], log_scale[:, position], own, lines[name], limits)
    return found
