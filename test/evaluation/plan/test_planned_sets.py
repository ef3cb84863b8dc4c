"""Planned sets, and how they are packed."""

from msdepth_ros.core.health.findings import Fault
from msdepth_ros.evaluation.plan.planned_sets import MessageRef, Plan, SetPlan
from msdepth_ros.report.frame_pictures import Why

TOPICS = {"rgb": "/rgb/image", "nir": "/nir/image", "thermal": "/thermal/image", "truth": "/truth"}


def ref(name: str) -> MessageRef:
    return MessageRef(TOPICS[name], 2**61 + 7, 3, 2**62)


TROUBLED = SetPlan(
    "drive", "rgb+nir+thermal", 4, 2**62, {"rgb": ref("rgb"), "nir": ref("nir")}, ref("truth"), 1 / 3,
    {"rgb": frozenset({Fault.BLACK}), "nir": frozenset({Fault.NOISY, Fault.BLURRED})}, ("rgb",),
    {"thermal": ref("thermal")}, Why.STATE, consistency=True,
)  # fmt: skip


def test_what_is_used_needed_and_said_of_a_set() -> None:
    assert TROUBLED.used == {"nir": ref("nir")}
    assert TROUBLED.refs == (ref("rgb"), ref("nir"), ref("thermal"), ref("truth"))
    assert TROUBLED.health == ("nir:blurred", "nir:noisy", "rgb:black", "thermal:rejected")
    assert TROUBLED._replace(rejected={}).health[-1] == "thermal:missing"
    assert TROUBLED._replace(variant="rgb+nir", faults={}, rejected={}).health == ()


def test_every_field_survives_packing() -> None:
    plain = SetPlan("drive", "rgb+nir+thermal", 5, 9, {name: ref(name) for name in ("rgb", "thermal")}, None, 0.0)
    plan = Plan.pack("drive", "rgb+nir+thermal", TOPICS, [TROUBLED, plain])
    assert list(plan) == [TROUBLED, plain]
    assert [plan.needs(name).tolist() for name in TOPICS] == [[True, True], [True, False], [True, True], [True, False]]
    assert plan.rows["rgb"]["faults"]["black"].tolist() == [True, False]
