import math

import pytest
import torch

from msdepth_training.objective.obstacles import (
    OBSTACLE_WEIGHT,
    TOO_FAR_WEIGHT,
    TOO_NEAR_WEIGHT,
    obstacle_loss,
    obstacles,
)

HEIGHT, WIDTH = 40, 60
K = torch.tensor([[50.0, 0, 30.0], [0, 50.0, 10.0], [0, 0, 1.0]])
PLANE = torch.tensor([0.0, 1.0, 0.0, 1.5])
BOARD_M = 8.0


def road(batch=1):
    """A level road 1.5 m below the camera, sky above, and in the middle a board that stands on it."""
    v = torch.arange(HEIGHT).view(-1, 1).expand(HEIGHT, WIDTH).float()
    down = (v - 10.0) / 50.0
    depth = torch.where(down > 0.01, 1.5 / down.clamp(min=1e-6), math.inf)
    board = torch.zeros(HEIGHT, WIDTH, dtype=torch.bool)
    board[:, 20:40] = True
    board &= (BOARD_M * down < 1.5) & (BOARD_M * down > -1.0)
    return torch.where(board, BOARD_M, depth).expand(batch, -1, -1), board


class Output:
    def __init__(self, log_depth):
        self.log_depth = log_depth


def planes(batch=1):
    return PLANE.expand(batch, 4), K.expand(batch, 3, 3)


@pytest.mark.parametrize("batch", [1, 3])
def test_what_stands_on_the_road_is_found_and_the_road_is_not(batch):
    depth, board = road(batch)
    found = obstacles(depth, *planes(batch))
    high = board & (1.5 - BOARD_M * (torch.arange(HEIGHT).view(-1, 1) - 10.0) / 50.0 > 0.3)
    assert torch.equal(found, high.expand(batch, -1, -1))


def test_a_camera_that_is_tilted_sees_the_same_obstacle():
    depth, _ = road()
    upright = obstacles(depth, *planes()).sum()
    pitch = 0.1
    normal = torch.tensor([[0.0, math.cos(pitch), math.sin(pitch), 1.5]])
    assert obstacles(depth, normal, K[None]).sum() != upright


@pytest.mark.parametrize(("factor", "weight"), [(1.2, TOO_FAR_WEIGHT), (1 / 1.2, TOO_NEAR_WEIGHT)])
def test_too_far_costs_more_than_too_near(factor, weight):
    depth, _ = road()
    loss = obstacle_loss(Output((depth.clamp(max=100.0) * factor).log()), depth, *planes())
    assert loss.item() == pytest.approx(weight * math.log(1.2), rel=1e-4)
    assert OBSTACLE_WEIGHT > 0


def test_without_a_known_road_nothing_is_an_obstacle():
    depth, _ = road()
    log_depth = torch.zeros_like(depth, requires_grad=True)
    loss = obstacle_loss(Output(log_depth), depth, torch.zeros(1, 4), K[None])
    loss.backward()
    assert loss.item() == 0.0
    assert log_depth.grad.abs().max() == 0.0


def test_unknown_depth_is_no_obstacle():
    assert not obstacles(torch.full((1, HEIGHT, WIDTH), math.nan), *planes()).any()
