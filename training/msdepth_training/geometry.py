"""Pinhole geometry on tensors.

OpenCV convention throughout: x right, y down, z forward; the centre of the first pixel is (0, 0). `a_from_b` maps
points from b to a. Depth is along the z axis of the camera it belongs to, in metres.
"""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

MIN_Z_M = 0.05
"""A point nearer to a camera's image plane than this counts as behind it."""


def scale_intrinsics(k: Tensor, scale_x: float, scale_y: float) -> Tensor:
    """K of the image scaled by (scale_x, scale_y).

    Args:
        k: [..., 3, 3], px.
        scale_x: new width / old width.
        scale_y: new height / old height.

    Returns:
        [..., 3, 3]; the principal point follows c -> s * (c + 0.5) - 0.5, because pixel centres lie on integers.
    """
    scale = k.new_tensor([[scale_x], [scale_y], [1.0]])
    shift = k.new_tensor([[0.0, 0.0, 0.5 * (1.0 - scale_x)], [0.0, 0.0, 0.5 * (1.0 - scale_y)], [0.0, 0.0, 0.0]])
    return k * scale - shift


def pixel_grid(
    height: int, width: int, *, device: torch.device, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor]:
    """Pixel centres: u [1, width] and v [height, 1], px, to be broadcast."""
    u = torch.arange(width, device=device, dtype=dtype).view(1, width)
    v = torch.arange(height, device=device, dtype=dtype).view(height, 1)
    return u, v


def pixel_rays(k: Tensor, height: int, width: int) -> Tensor:
    """Direction (x/z, y/z, 1) of every pixel.

    Args:
        k: [..., 3, 3], px of a height x width image.
        height: rows.
        width: columns.

    Returns:
        [..., 3, height, width]; multiplied by depth along z it is the point in the camera's frame.
    """
    u, v = pixel_grid(height, width, device=k.device, dtype=k.dtype)
    fx, fy, cx, cy = (k[..., i, j, None, None] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    x = ((u - cx) / fx).expand(*k.shape[:-2], height, width)
    y = ((v - cy) / fy).expand(*k.shape[:-2], height, width)
    return torch.stack((x, y, torch.ones_like(x)), dim=-3)


def reproject(
    depth_m: Tensor, reference_rays: Tensor, view_from_reference: Tensor, view_k: Tensor
) -> tuple[Tensor, Tensor]:
    """Where reference pixels, at given depths, fall in other views.

    Args:
        depth_m: [B, 1 or N, h, w] depth of the reference pixels.
        reference_rays: [B, 3, h, w] from `pixel_rays` of the reference (h may hold several stacked depth hypotheses).
        view_from_reference: [B, N, 4, 4], metres.
        view_k: [B, N, 3, 3], px of the view's image.

    Returns:
        Pixel positions [B, N, h, w, 2] (u, v) in the view's image and z [B, N, h, w] in the view's frame, metres.
    """
    rotated = torch.einsum("bnij,bjhw->bnihw", view_from_reference[..., :3, :3], reference_rays)
    point = rotated * depth_m.unsqueeze(2) + view_from_reference[..., :3, 3, None, None]
    x, y, z = point.unbind(dim=2)
    safe_z = z.clamp(min=MIN_Z_M)
    fx, fy, cx, cy = (view_k[..., i, j, None, None] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    return torch.stack((fx * x / safe_z + cx, fy * y / safe_z + cy), dim=-1), z


def sample_rows(features: Tensor, uv: Tensor, gain: Tensor | None = None) -> Tensor:
    """Bilinear samples at pixel positions, edge values outside.

    Rows of channels are gathered instead of calling grid_sample: ONNX Runtime's GridSample recomputes the position for
    each channel and took ten times as long on the CPU, and TensorRT runs it wrongly from opset 20 on.

    Args:
        features: [M, C, h, w].
        uv: [M, P, 2] in px of the h x w map; (0, 0) is the centre of the first pixel, so sampling at `pixel_grid`
            returns the map exactly.
        gain: [M, P] to multiply the samples with, None for 1; on the rows it would cost a pass over all of them.

    Returns:
        [M, P, C].
    """
    count, channels, height, width = features.shape
    rows = features.permute(0, 2, 3, 1).reshape(-1, channels)
    u, v = uv[..., 0].clamp(0.0, width - 1.0), uv[..., 1].clamp(0.0, height - 1.0)
    left, top = u.detach().floor(), v.detach().floor()
    first = torch.arange(count, device=uv.device).view(-1, 1) * (height * width)
    index = (top * width + left).long() + first
    # at the last column and row the share of the neighbour is 0: it may be the pixel itself
    right = index + (left < width - 1.0).long()
    down = (top < height - 1.0).long() * width
    right_share, bottom_share = u - left, v - top
    bottom_right = right_share * bottom_share
    top_right, bottom_left = right_share - bottom_right, bottom_share - bottom_right
    shares = [1.0 - right_share - bottom_left, top_right, bottom_left, bottom_right]
    if gain is not None:
        shares = [share * gain for share in shares]
    # an embedding look-up is a gather of whole rows whose gradient is fast on the CPU too
    taps = [F.embedding(i, rows) for i in (index, right, index + down, right + down)]
    return functools.reduce(torch.add, [tap * share.unsqueeze(-1) for tap, share in zip(taps, shares, strict=True)])


def inside(uv: Tensor, z: Tensor, height: int, width: int) -> Tensor:
    """1 where a reprojected point lies in front of the camera and inside its image, else 0.

    Args:
        uv: [..., 2], px.
        z: [...], metres.
        height: rows of the view's image.
        width: columns of the view's image.

    Returns:
        float, shape of z. The image reaches half a pixel beyond its outermost pixel centres.
    """
    u, v = uv.unbind(dim=-1)
    seen = (u >= -0.5) & (u <= width - 0.5) & (v >= -0.5) & (v <= height - 0.5) & (z > MIN_Z_M)
    return seen.to(uv.dtype)


def visible(uv: Tensor, z: Tensor, view_depth_m: Tensor, *, tolerance: float = 0.05) -> Tensor:
    """Occlusion test against the view's own depth: 1 where the point is the one the view sees there.

    Args:
        uv: [M, h, w, 2], px of the view's image.
        z: [M, h, w], metres.
        view_depth_m: [M, H, W] depth in the view, inf for sky.
        tolerance: relative difference still counted as the same surface.

    Returns:
        float [M, h, w], 1 where inside the image and not occluded.
    """
    height, width = view_depth_m.shape[-2:]
    u = uv[..., 0].round().long().clamp(0, width - 1)
    v = uv[..., 1].round().long().clamp(0, height - 1)
    seen_depth = view_depth_m.flatten(1).gather(1, (v * width + u).flatten(1)).view(z.shape)
    same = ((seen_depth - z).abs() < tolerance * z).to(z.dtype)
    return same * inside(uv, z, height, width)
