"""Pinhole geometry on tensors.

OpenCV convention throughout: x right, y down, z forward; the centre of the first pixel is (0, 0). `a_from_b` maps
points from b to a. Depth is along the z axis of the camera it belongs to, in metres.
"""

from __future__ import annotations

import contextlib
import functools

import torch
import torch.nn.functional as F
from torch import Tensor

MIN_Z_M = 0.05
"""A point nearer to a camera's image plane than this counts as behind it."""


def full_precision(like: Tensor) -> contextlib.AbstractContextManager[object]:
    """Switches autocast off: a product of matrices in bfloat16 would move pixels by several columns."""
    kind = like.device.type
    active = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return torch.autocast(kind, enabled=False) if active else contextlib.nullcontext()


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


def invert_intrinsics(k: Tensor) -> Tensor:
    """Inverse of K [..., 3, 3] without skew; ONNX has no general matrix inverse."""
    fx, fy, cx, cy = (k[..., i, j] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    zero, one = torch.zeros_like(fx), torch.ones_like(fx)
    rows = (1.0 / fx, zero, -cx / fx, zero, 1.0 / fy, -cy / fy, zero, zero, one)
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def relative_to(view_from_reference: Tensor, index: Tensor) -> Tensor:
    """Poses with another reference.

    Args:
        view_from_reference: [B, N, 4, 4], metres.
        index: int [B], the view that becomes the reference.

    Returns:
        [B, N, 4, 4] maps points from view `index` to each view; exactly the identity for the view itself.
    """
    row = torch.arange(len(index), device=index.device)
    with full_precision(view_from_reference):
        view_from_index = view_from_reference @ torch.linalg.inv(view_from_reference[row, index]).unsqueeze(1)
    view_from_index[row, index] = torch.eye(4, dtype=view_from_index.dtype, device=view_from_index.device)
    return view_from_index


def height_above(plane: Tensor, depth_m: Tensor, k: Tensor) -> Tensor:
    """Height of every pixel's point above a plane.

    Args:
        plane: [B, 4] unit normal, pointing down, and h of n . X = h, in the camera's frame, metres.
        depth_m: [B, H, W] along the camera's z axis, metres.
        k: [B, 3, 3], px.

    Returns:
        [B, H, W] metres; not finite where depth is not.
    """
    rays = pixel_rays(k, *depth_m.shape[-2:])
    return plane[:, 3, None, None] - depth_m * (plane[:, :3, None, None] * rays).sum(dim=1)


def level_pixels(height: int, width: int, stride: int, *, device: torch.device) -> Tensor:
    """Centres of the cells of a level, in px of the height x width image.

    Returns:
        [3, P] u, v and 1 of the P = (height / stride) * (width / stride) cells, row by row.
    """
    u, v = pixel_grid(height // stride, width // stride, device=device)
    u, v = (x.expand(height // stride, width // stride).flatten() * stride + 0.5 * (stride - 1) for x in (u, v))
    return torch.stack((u, v, torch.ones_like(u)))


def reproject(
    depth_m: Tensor, reference_rays: Tensor, view_from_reference: Tensor, view_k: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Where reference pixels, at one or several assumed depths, fall in other views.

    A ray r at depth d projects to K R r d + K t (Hartley and Zisserman, section 9.6): the product K R r does not depend
    on the depth and is computed once for all assumptions.

    Args:
        depth_m: [B, S, h, w] S assumed depths of every reference pixel.
        reference_rays: [B, 3, h, w] from `pixel_rays` of the reference.
        view_from_reference: [B, N, 4, 4], metres.
        view_k: [B, N, 3, 3], px of the view's image.

    Returns:
        u and v in px of the view's image and z in the view's frame, metres, [B, N, S, h, w] each.
    """
    with full_precision(depth_m):
        rotated = (view_k @ view_from_reference[..., :3, :3]) @ reference_rays.flatten(2).unsqueeze(1)
        shift = view_k @ view_from_reference[..., :3, 3:]
    point = rotated.unsqueeze(3) * depth_m.flatten(2)[:, None, None] + shift.unsqueeze(4)
    x, y, z = point.unflatten(4, depth_m.shape[2:]).unbind(dim=2)
    inverse = 1.0 / z.clamp(min=MIN_Z_M)
    return x * inverse, y * inverse, z


def sample_rows(features: Tensor, u: Tensor, v: Tensor, gain: Tensor | None = None) -> Tensor:
    """Bilinear samples at pixel positions, edge values outside.

    Rows of channels are gathered instead of calling grid_sample: ONNX Runtime's GridSample recomputes the position for
    each channel and took ten times as long on the CPU, and TensorRT runs it wrongly from opset 20 on.

    Args:
        features: [M, C, h, w], h and w at least 2.
        u: [M, P] in px of the h x w map; (0, 0) is the centre of the first pixel, so sampling at `pixel_grid` returns
            the map exactly.
        v: [M, P], px.
        gain: [M, P] to multiply the samples with, None for 1; on the rows it would cost a pass over all of them.

    Returns:
        [M, P, C].
    """
    count, channels, height, width = features.shape
    rows = features.permute(0, 2, 3, 1).reshape(-1, channels)
    # the left one of two columns is never the last, so that the right one is there; outside, the share is 0 or 1
    left, top = u.detach().floor().clamp(0.0, width - 2.0), v.detach().floor().clamp(0.0, height - 2.0)
    right_share, bottom_share = (u - left).clamp(0.0, 1.0), (v - top).clamp(0.0, 1.0)
    left_share = 1.0 - right_share
    if gain is not None:
        left_share, right_share = left_share * gain, right_share * gain
    bottom_left, bottom_right = left_share * bottom_share, right_share * bottom_share
    shares = (left_share - bottom_left, right_share - bottom_right, bottom_left, bottom_right)
    index = (top * width + left).long() + torch.arange(count, device=u.device).view(-1, 1) * (height * width)
    # an embedding look-up is a gather of whole rows whose gradient is fast on the CPU too
    taps = [F.embedding(index + offset, rows) for offset in (0, 1, width, width + 1)]
    return functools.reduce(torch.add, [tap * share.unsqueeze(-1) for tap, share in zip(taps, shares, strict=True)])


def inside(u: Tensor, v: Tensor, z: Tensor, height: int, width: int) -> Tensor:
    """1 where a reprojected point lies in front of the camera and inside its image, else 0.

    Args:
        u: [...], px.
        v: [...], px.
        z: [...], metres.
        height: rows of the view's image.
        width: columns of the view's image.

    Returns:
        float, shape of z. The image reaches half a pixel beyond its outermost pixel centres.
    """
    seen = (u >= -0.5) & (u <= width - 0.5) & (v >= -0.5) & (v <= height - 0.5) & (z > MIN_Z_M)
    return seen.to(z.dtype)


def visible(u: Tensor, v: Tensor, z: Tensor, view_depth_m: Tensor, *, tolerance: float = 0.05) -> Tensor:
    """Occlusion test against the view's own depth: 1 where the point is the one the view sees there.

    Args:
        u: [M, ...], px of the view's image.
        v: [M, ...], px.
        z: [M, ...], metres.
        view_depth_m: [M, H, W] depth in the view, inf for sky.
        tolerance: relative difference still counted as the same surface.

    Returns:
        float [M, ...], 1 where inside the image and not occluded.
    """
    height, width = view_depth_m.shape[-2:]
    column, row = u.round().long().clamp(0, width - 1), v.round().long().clamp(0, height - 1)
    seen_depth = view_depth_m.flatten(1).gather(1, (row * width + column).flatten(1)).view(z.shape)
    same = ((seen_depth - z).abs() < tolerance * z).to(z.dtype)
    return same * inside(u, v, z, height, width)
