"""Stage align: every spectrum's own depth, and features that agree between spectra, by either recipe or not at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from msdepth_ros.core.spectra import SPECTRA
from msdepth_training import losses
from msdepth_training.batch import Batch
from msdepth_training.errors import TrainingError
from msdepth_training.geometry import full_precision
from msdepth_training.networks.paper import anchor_cameras, bring
from msdepth_training.networks.spectral import SpectralOutput, split
from msdepth_training.objective.depth import DepthLoss, depth_and_scale_loss, evidence_loss
from msdepth_training.objective.fused import aligned

Alignment = Literal["none", "paper", "msdepth"]
ALIGNMENT_WEIGHTS: dict[Alignment, float] = {"none": 0.0, "paper": 0.01, "msdepth": 0.1}
"""Unless told otherwise."""
COARSEST = 32
"""Stride of the level that the paper aligns."""
ALIGNED_STRIDES = (16, 8)
"""Strides of the levels that we align: those that the plane sweeps of the fusion compare."""
THERMAL = SPECTRA.index("thermal")


def in_thermal_frame(
    features: Tensor, log_depth: Tensor, batch: Batch, *, min_m: float, max_m: float
) -> tuple[Tensor, Tensor]:
    """Features at the coarsest level, brought into the thermal frame by the predicted thermal depth.

    Positions get no gradient, features of all views do.

    Args:
        features: [B, 3, C, h, w].
        log_depth: [B, 3, H, W] predicted, log metres.
        batch: for the cameras.
        min_m: limit of the predicted depth, metres.
        max_m: limit of the predicted depth, metres.

    Returns:
        Rows [B, 3, P, C], and bool [B, 3, P] whether the view sees the point: inside, in front, not occluded.
    """
    height, width = log_depth.shape[-2:]
    depth_m = log_depth.detach().float().clamp(math.log(min_m), math.log(max_m)).exp()
    depth_m = F.interpolate(depth_m, size=features.shape[-2:], mode="bilinear", align_corners=False)
    thermal, all_present = torch.full_like(batch.reference, THERMAL), torch.ones_like(batch.present)
    cameras = anchor_cameras(batch.k, batch.view_from_reference, thermal, all_present, height=height, width=width)
    rows, seen = bring(features, depth_m, cameras.at_stride(COARSEST), thermal)
    return rows, seen > 0


def paper_alignment(out: SpectralOutput, batch: Batch, *, min_m: float, max_m: float) -> Tensor:
    """0.5 global + 0.5 local contrastive loss on the coarsest level, without the known mistakes."""
    sets = batch.present.shape
    features = out.view.pyramid[COARSEST].float().unflatten(0, sets)
    pooled = split(features.mean(dim=(-2, -1)), dim=-1)
    rows, seen = in_thermal_frame(features, out.log_depth.unflatten(0, sets), batch, min_m=min_m, max_m=max_m)
    return 0.5 * losses.global_info_nce(*pooled) + 0.5 * losses.dense_info_nce(*split(rows, dim=-1), seen)


def our_alignment(out: SpectralOutput, batch: Batch, generator: torch.Generator) -> Tensor:
    """InfoNCE of the shared halves of two random spectra at corresponding 3-D points, by ground-truth depth."""
    shared = {s: split(out.view.pyramid[s])[0].unflatten(0, batch.present.shape) for s in ALIGNED_STRIDES}
    return aligned(shared, batch, generator)


def checked(alignment: Alignment, spectra: Sequence[str]) -> Alignment:
    """The alignment, unless it is unknown or these spectra leave nothing to align: a `TrainingError`."""
    if alignment not in ALIGNMENT_WEIGHTS:
        raise TrainingError(f"no alignment {alignment!r}; known are {', '.join(ALIGNMENT_WEIGHTS)}")
    if alignment != "none" and len(spectra) < len(SPECTRA):
        raise TrainingError(f"alignment {alignment} needs {', '.join(SPECTRA)}; a specialist has alignment none")
    return alignment


def supervised(
    out: SpectralOutput, batch: Batch, spectra: Sequence[str], max_m: float, depth_loss: DepthLoss
) -> dict[str, Tensor]:
    """Each spectrum's depth and scale, and its evidence, in its own frame; arguments as `align_objective`."""
    terms = {}
    for n, spectrum in enumerate(spectra):
        truth_m, one = batch.depth_m[:, SPECTRA.index(spectrum)], every(out, n, len(spectra))
        own = evidence_loss(one.view, truth_m, max_m)
        terms[spectrum] = depth_and_scale_loss(one, truth_m, max_m, depth_loss) + 0.6 * own
    return terms


def align_objective(
    out: SpectralOutput,
    batch: Batch,
    *,
    alignment: Alignment,
    max_m: float,
    generator: torch.Generator,
    spectra: Sequence[str] = SPECTRA,
    weight: float | None = None,
    min_m: float = 1.0,
    depth_loss: DepthLoss = "log_l1",
) -> dict[str, Tensor]:
    """All terms and their sum under `total`.

    Args:
        out: of `SpectralDepth` for the views of these spectra, set by set, as `batch.images.flatten(0, 1)`.
        batch: what it was given. All views count, present or not: here no view depends on another.
        alignment: `none` trains each spectrum's depth alone, `paper` and `msdepth` align features by these recipes.
        max_m: depth beyond it, and the sky, counts as this, metres.
        generator: on the CPU, for our alignment.
        spectra: what the network was given, in canonical order; a specialist, which has fewer, has nothing to align.
        weight: of the alignment; by default that of `ALIGNMENT_WEIGHTS`.
        min_m: least depth that warps, metres.
        depth_loss: of the depth at full size.

    Returns:
        Scalars by the names of the spectra (supervised), `alignment` and `total`, their weighted sum.
    """
    usual = ALIGNMENT_WEIGHTS[checked(alignment, spectra)]
    with full_precision(batch.depth_m):
        terms = supervised(out, batch, spectra, max_m, depth_loss)
        terms["alignment"] = batch.depth_m.new_zeros(())
        if alignment == "paper":
            terms["alignment"] = paper_alignment(out, batch, min_m=min_m, max_m=max_m)
        if alignment == "msdepth":
            terms["alignment"] = our_alignment(out, batch, generator)
    terms["total"] = sum((terms[s] for s in spectra), (usual if weight is None else weight) * terms["alignment"])
    return terms


def every(out: SpectralOutput, first: int, step: int) -> SpectralOutput:
    """Views first, first + step, ... of an output."""
    rows = slice(first, None, step)
    view = out.view._replace(
        pyramid={s: x[rows] for s, x in out.view.pyramid.items()},
        log_depth=out.view.log_depth[rows],
        log_scale=out.view.log_scale[rows],
    )
    coarse = {s: x[rows] for s, x in out.coarse_log_depth.items()}
    return SpectralOutput(out.log_depth[rows], out.log_scale[rows], coarse, view)
