"""Trees of rigid transforms."""

import numpy as np
import pytest

from msdepth_ros.core.camera.transforms import TransformTree, quaternion, rigid_matrix
from msdepth_ros.core.errors import MsdepthError

HALF = float(np.sqrt(0.5))
TURN_Z = (0.0, 0.0, HALF, HALF)


def test_a_quarter_turn_about_z_takes_x_to_y() -> None:
    matrix = rigid_matrix((1.0, 2.0, 3.0), TURN_Z)
    assert matrix @ [1.0, 0.0, 0.0, 1.0] == pytest.approx([1.0, 3.0, 3.0, 1.0])
    assert rigid_matrix((0, 0, 0), [10 * value for value in TURN_Z])[:3, :3] == pytest.approx(matrix[:3, :3])


@pytest.mark.parametrize(
    "turn", [(0, 0, 0, 1), (1, 0, 0, 0), (0, HALF, -HALF, 0), (0.5, -0.5, 0.5, 0.5), (0.1, 0.2, 0.3, 0.9)]
)
def test_quaternions_come_back(turn: tuple[float, ...]) -> None:
    matrix = rigid_matrix((0, 0, 0), turn)[:3, :3]
    back = rigid_matrix((0, 0, 0), quaternion(matrix))[:3, :3]
    assert back == pytest.approx(matrix, abs=1e-12)


def test_frames_are_found_through_common_ancestors_both_ways() -> None:
    tree = TransformTree()
    tree.add("base", "left", rigid_matrix((1, 0, 0), (0, 0, 0, 1)))
    tree.add("base", "mast", rigid_matrix((0, 0, 2), TURN_Z))
    tree.add("/mast", "top", rigid_matrix((1, 0, 0), (0, 0, 0, 1)))
    left_from_top = tree.lookup("left", "top")
    assert left_from_top is not None
    assert left_from_top @ [0, 0, 0, 1] == pytest.approx([-1, 1, 2, 1])
    assert tree.lookup("top", "left") == pytest.approx(np.linalg.inv(left_from_top))
    assert tree.lookup("top", "/top") == pytest.approx(np.eye(4))
    assert tree.lookup("left", "moon") is None
    assert tree.frames == ("base", "left", "mast", "top")


def test_a_later_transform_replaces_an_earlier_one() -> None:
    tree = TransformTree()
    tree.add("a", "b", rigid_matrix((1, 0, 0), (0, 0, 0, 1)))
    tree.add("a", "b", rigid_matrix((5, 0, 0), (0, 0, 0, 1)))
    found = tree.lookup("a", "b")
    assert found is not None
    assert found[0, 3] == 5


@pytest.mark.parametrize("turn", [(0, 0, 0, 0), (0, 0, 0, float("nan"))])
def test_impossible_rotations_are_refused(turn: tuple[float, ...]) -> None:
    with pytest.raises(MsdepthError, match="tf_static"):
        rigid_matrix((0, 0, 0), turn)
