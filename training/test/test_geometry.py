import pytest
import torch

from msdepth_training.geometry import (
    inside,
    invert_intrinsics,
    level_pixels,
    pixel_grid,
    pixel_rays,
    relative_to,
    reproject,
    sample_rows,
    scale_intrinsics,
    visible,
)

K_WIDE = torch.tensor([[30.0, 0.0, 19.3], [0.0, 34.0, 11.6], [0.0, 0.0, 1.0]])
K_LONG = torch.tensor([[55.0, 0.0, 23.1], [0.0, 51.0, 9.2], [0.0, 0.0, 1.0]])
H, W = 24, 40


def pose(angle: float = 0.1, shift: tuple[float, float, float] = (0.3, -0.1, 0.2)) -> torch.Tensor:
    c, s = torch.cos(torch.tensor(angle)), torch.sin(torch.tensor(angle))
    matrix = torch.eye(4)
    matrix[0, 0], matrix[0, 2], matrix[2, 0], matrix[2, 2] = c, s, -s, c
    matrix[:3, 3] = torch.tensor(shift)
    return matrix


def one_view(depth: torch.Tensor, reference_k: torch.Tensor, view_from_reference: torch.Tensor, view_k: torch.Tensor):
    rays = pixel_rays(reference_k, *depth.shape)[None]
    u, v, z = reproject(depth[None, None], rays, view_from_reference[None, None], view_k[None, None])
    return torch.stack((u, v), dim=-1)[0, 0, 0], z[0, 0, 0]


def grid_uv() -> torch.Tensor:
    u, v = pixel_grid(H, W, device=torch.device("cpu"))
    return torch.stack((u.expand(H, W), v.expand(H, W)), dim=-1)


def test_sampling_at_pixel_centres_returns_the_map_exactly():
    features = torch.randn(2, 3, H, W)
    rows = sample_rows(features, *grid_uv().reshape(1, -1, 2).expand(2, -1, -1).unbind(-1))
    assert torch.equal(rows.transpose(1, 2).view_as(features), features)


def test_sampling_agrees_with_torch_grid_sample_between_pixels_and_outside():
    features = torch.randn(2, 3, H, W)
    uv = torch.rand(2, 50, 2) * torch.tensor([W + 6.0, H + 6.0]) - 3.0
    normalised = (2 * uv + 1) / torch.tensor([W, H]) - 1
    expected = torch.nn.functional.grid_sample(
        features, normalised[:, None], padding_mode="border", align_corners=False
    )
    rows = sample_rows(features, *uv.unbind(-1))
    torch.testing.assert_close(rows, expected[:, :, 0].transpose(1, 2), atol=1e-5, rtol=1e-5)


def test_sampling_gives_gradients_to_the_features():
    features = torch.randn(1, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    uv = torch.rand(1, 7, 2, dtype=torch.float64) * 3.0
    assert torch.autograd.gradcheck(lambda f: sample_rows(f, *uv.unbind(-1)), (features,))


def test_the_identity_pose_maps_every_pixel_to_itself():
    uv, z = one_view(torch.rand(H, W) * 20 + 1, K_WIDE, torch.eye(4), K_WIDE)
    torch.testing.assert_close(uv, grid_uv(), atol=2e-5, rtol=0)
    assert inside(*uv.round().unbind(-1), z, H, W).min() == 1.0


def test_another_k_moves_pixels_by_the_pinhole_formula():
    uv, _ = one_view(torch.full((H, W), 7.0), K_WIDE, torch.eye(4), K_LONG)
    u, v = 5, 17
    assert uv[v, u, 0].item() == pytest.approx((u - 19.3) / 30 * 55 + 23.1, abs=1e-4)
    assert uv[v, u, 1].item() == pytest.approx((v - 11.6) / 34 * 51 + 9.2, abs=1e-4)


def test_there_and_back_returns_to_the_pixel():
    depth, there = torch.rand(H, W) * 20 + 2, pose()
    uv, z = one_view(depth, K_WIDE, there, K_LONG)
    point = torch.stack(((uv[..., 0] - 23.1) / 55 * z, (uv[..., 1] - 9.2) / 51 * z, z, torch.ones_like(z)))
    back = torch.einsum("ij,jhw->ihw", torch.linalg.inv(there), point)
    torch.testing.assert_close(back[2], depth, atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(30 * back[0] / back[2] + 19.3, grid_uv()[..., 0], atol=1e-2, rtol=0)


def test_several_assumed_depths_at_once_are_each_alone():
    depths, rays = torch.rand(3, H, W) * 20 + 2, pixel_rays(K_WIDE, H, W)[None]
    together = reproject(depths[None], rays, pose()[None, None], K_LONG[None, None])
    for index, depth in enumerate(depths):
        uv, z = one_view(depth, K_WIDE, pose(), K_LONG)
        torch.testing.assert_close(torch.stack(together[:2], dim=-1)[0, 0, index], uv)
        torch.testing.assert_close(together[2][0, 0, index], z)


def test_a_joint_flip_mirrors_where_pixels_fall():
    mirror, depth = torch.diag(torch.tensor([-1.0, 1, 1, 1])), torch.rand(H, W) * 20 + 2
    uv, z = one_view(depth, K_WIDE, pose(), K_LONG)
    flipped = [k.clone() for k in (K_WIDE, K_LONG)]
    for k in flipped:
        k[0, 2] = W - 1 - k[0, 2]
    uv_flipped, z_flipped = one_view(depth.flip(-1), flipped[0], mirror @ pose() @ mirror, flipped[1])
    torch.testing.assert_close(W - 1 - uv_flipped[..., 0].flip(-1), uv[..., 0], atol=1e-3, rtol=0)
    torch.testing.assert_close(z_flipped.flip(-1), z, atol=1e-4, rtol=0)


def test_points_behind_the_camera_and_beyond_the_border_are_not_inside():
    uv = torch.tensor([[5.0, 5.0], [-0.4, 5.0], [-0.6, 5.0], [W - 0.4, 5.0], [5.0, 5.0]])
    z = torch.tensor([1.0, 1.0, 1.0, 1.0, -1.0])
    assert inside(*uv.unbind(-1), z, H, W).tolist() == [1.0, 1.0, 0.0, 0.0, 0.0]


def test_an_occluded_point_is_not_visible():
    view_depth = torch.full((1, H, W), 10.0)
    view_depth[:, :, 20:] = 4.0
    uv = torch.tensor([[[[10.0, 5.0], [30.0, 5.0]]]])
    assert visible(*uv.unbind(-1), torch.full((1, 1, 2), 10.0), view_depth)[0, 0].tolist() == [1.0, 0.0]


def test_scaling_keeps_rays_where_they_were():
    """The middle of a block of 2 x 4 pixels is the middle of the one pixel it becomes."""
    middle, block = torch.tensor([6.0, 2.0, 1.0]), torch.tensor([12.5, 9.5, 1.0])
    smaller = scale_intrinsics(K_WIDE, 0.5, 0.25)
    torch.testing.assert_close(torch.linalg.inv(smaller) @ middle, torch.linalg.inv(K_WIDE) @ block)


def test_the_inverse_of_k_undoes_it():
    both = torch.stack((K_WIDE, K_LONG))
    torch.testing.assert_close(invert_intrinsics(both) @ both, torch.eye(3).expand(2, 3, 3), atol=1e-5, rtol=0)


@pytest.mark.parametrize("stride", [1, 4, 8])
def test_rays_of_a_level_are_those_of_the_smaller_image(stride):
    smaller = scale_intrinsics(K_WIDE, 1.0 / stride, 1.0 / stride)
    rays = invert_intrinsics(K_WIDE) @ level_pixels(H, W, stride, device=torch.device("cpu"))
    torch.testing.assert_close(rays, pixel_rays(smaller, H // stride, W // stride).flatten(1), atol=1e-5, rtol=0)


def test_scaling_by_the_pinhole_formula():
    scaled = scale_intrinsics(K_WIDE, 0.5, 0.25)
    assert scaled[0, 0].item() == 15.0
    assert scaled[0, 2].item() == pytest.approx(0.5 * (19.3 + 0.5) - 0.5)
    assert scaled[1, 2].item() == pytest.approx(0.25 * (11.6 + 0.5) - 0.5)


def poses() -> torch.Tensor:
    """[2, 3, 4, 4] of two sets of three views."""
    first = torch.stack((torch.eye(4), pose(), pose(-0.2, (0.0, 0.5, -0.1))))
    return torch.stack((first, first.flip(0)))


def test_poses_relative_to_a_view_are_exactly_the_identity_for_it():
    index = torch.tensor([1, 2])
    relative = relative_to(poses(), index)
    assert torch.equal(relative[torch.arange(2), index], torch.eye(4).expand(2, 4, 4))


def test_poses_relative_to_one_view_and_then_another_are_those_of_the_other():
    there, back = torch.tensor([1, 2]), torch.tensor([0, 2])  # each set's reference
    torch.testing.assert_close(relative_to(relative_to(poses(), there), back), poses(), atol=1e-5, rtol=0)


def test_relative_poses_map_points_from_the_view():
    moved = relative_to(poses(), torch.tensor([1, 1]))
    point = torch.tensor([0.3, -0.2, 5.0, 1.0])
    seen = poses()[0, 1] @ point
    torch.testing.assert_close(moved[0, 2] @ seen, poses()[0, 2] @ point, atol=1e-5, rtol=0)


def test_relative_poses_of_mirrored_views_are_mirrored():
    mirror, index = torch.diag(torch.tensor([-1.0, 1, 1, 1])), torch.tensor([1, 0])
    torch.testing.assert_close(
        relative_to(mirror @ poses() @ mirror, index), mirror @ relative_to(poses(), index) @ mirror, atol=1e-5, rtol=0
    )


def test_mixed_precision_does_not_move_pixels():
    depth = torch.rand(H, W) * 20 + 2
    expected, _ = one_view(depth, K_WIDE, pose(), K_LONG)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        uv, _ = one_view(depth, K_WIDE, pose(), K_LONG)
        relative = relative_to(poses(), torch.tensor([1, 1]))
    torch.testing.assert_close(uv, expected)
    torch.testing.assert_close(relative, relative_to(poses(), torch.tensor([1, 1])))
