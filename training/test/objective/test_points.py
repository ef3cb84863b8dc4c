import pytest
import torch

from msdepth_training.augment import flip
from msdepth_training.geometry import pixel_rays
from msdepth_training.objective import PAIRS, alignment_recall, recall_at_1
from msdepth_training.objective.points import alignment_loss, corresponding, rows_at


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("pair", PAIRS)
def test_corresponding_points_look_the_same(walls, pair, mirrored):
    """All three cameras of this world see the same colours: what corresponds can be checked by eye."""
    batch = flip(walls(2)) if mirrored else walls(2)
    points = corresponding(batch, 1, pair, count=2000, generator=generator())
    there, here = (batch.images[:, n] for n in pair)
    from_first, from_second = rows_at(there, here, points)
    assert points.seen.float().mean() > 0.3
    assert (from_first - from_second).abs().amax(dim=-1)[points.seen].quantile(0.98) < 0.05


def test_hidden_points_are_not_seen(walls):
    """Behind the board: the wall there is inside the other image, but not visible."""
    pair, cells = (1, 2), 64 * 96
    hidden, free = (
        corresponding(walls(1, board=b), 1, pair, count=cells, generator=generator()).seen for b in (True, False)
    )
    assert free.sum() - hidden.sum() > 50


def test_points_without_known_depth_are_not_seen(walls):
    batch = walls(1)
    depth = batch.depth_m.clone()
    depth[:, 0, :, :48], depth[:, 0, :, 48:] = torch.nan, torch.inf
    assert not corresponding(batch._replace(depth_m=depth), 1, (0, 1), count=500, generator=generator()).seen.any()


def test_each_cell_is_drawn_at_most_once(walls):
    points = corresponding(walls(1), 8, (0, 1), count=96, generator=generator())
    assert sorted(points.cell.tolist()) == list(range(96))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_loss_prefers_features_that_tell_points_apart(walls, count):
    batch = walls(count)
    points = corresponding(batch, 4, (0, 1), count=96, generator=generator())
    # colours as features: the same from each camera, different from point to point
    features = [torch.nn.functional.avg_pool2d(image, 4) for image in batch.images.unbind(1)]
    distinct = torch.stack([f - f.mean(dim=(2, 3), keepdim=True) for f in features], dim=1)
    constant = torch.ones_like(distinct)
    assert alignment_loss(distinct, batch, points, (0, 1)) < alignment_loss(constant, batch, points, (0, 1))


def test_recall_by_hand():
    key = torch.eye(4)
    query = torch.tensor([[2.0, 0, 0, 0], [0, 3.0, 0, 0], [0, 0.1, 0, 0], [0, 0, 0, 0.1]])
    assert recall_at_1(query, key).item() == pytest.approx(0.75)
    assert recall_at_1(5.0 * query, 0.1 * key).item() == pytest.approx(0.75)
    order = torch.tensor([2, 0, 3, 1])
    assert recall_at_1(query[order], key[order]).item() == pytest.approx(0.75)


def test_recall_of_features_that_say_nothing_is_that_of_guessing():
    assert recall_at_1(torch.ones(50, 3), torch.ones(50, 3)).item() == pytest.approx(1 / 50)


def test_recall_of_no_points_is_an_error():
    with pytest.raises(ValueError, match="no points"):
        recall_at_1(torch.ones(0, 3), torch.ones(0, 3))


def places(batch):
    """[B, 3, 2, h, w] at full size: where in the world each pixel looks."""
    points = pixel_rays(batch.k, *batch.depth_m.shape[-2:])[:, :, :2] * batch.depth_m.unsqueeze(2)
    return points - batch.view_from_reference[..., :2, 3, None, None]


def test_alignment_recall_of_perfect_and_of_useless_features(walls):
    batch = walls(1, board=False)
    # on a circle of its own for each axis, so that directions tell places apart
    place = 0.3 * places(batch)
    perfect = torch.cat((place.sin(), place.cos(), (7 * place).sin(), (7 * place).cos()), dim=2)
    useless = torch.randn(perfect.shape, generator=generator(3))
    found, guessed = (
        alignment_recall(f, batch, 1, (0, 1), generator=generator(), points=300) for f in (perfect, useless)
    )
    assert found > 0.9
    assert guessed < 0.05


def test_too_few_points_give_no_recall(walls):
    batch = walls(1)
    assert alignment_recall(batch.images, batch, 1, (0, 1), generator=generator(), points=10_000) is None
