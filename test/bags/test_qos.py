"""How topics are offered when they are played: as they were recorded, as far as that holds."""

import re
from pathlib import Path

import pytest
import yaml
from bags import write_bag
from hypothesis import given
from hypothesis import strategies as st

from msdepth_ros.bags.bag import Bag
from msdepth_ros.bags.qos import RecordedQos, recorded_qos
from msdepth_ros.core.errors import MsdepthError


def profile(depth: int = 7, reliability: object = 1, durability: object = 2) -> str:
    times = "{sec: 9223372036, nsec: 854775807}"
    return (
        f"- history: 1\n  depth: {depth}\n  reliability: {reliability}\n  durability: {durability}\n"
        f"  deadline: {times}\n  lifespan: {times}\n  liveliness: 1\n  liveliness_lease_duration: {times}\n"
        "  avoid_ros_namespace_conventions: false\n"
    )


@pytest.mark.parametrize(("text", "expected"), [
    (profile(), RecordedQos(7, True, False)),
    (profile(reliability=2), RecordedQos(7, False, False)),
    (profile(reliability="best_effort", durability="volatile"), RecordedQos(7, False, False)),
    (profile(depth=1, durability=1), RecordedQos(3, True, True)),
    (profile(depth=1, durability="transient_local"), RecordedQos(3, True, True)),
    (profile(depth=0), RecordedQos(10, True, False)),
    (profile(reliability=2) + profile(reliability=1), RecordedQos(7, True, False)),
    (profile(durability=1) + profile(durability=2), RecordedQos(7, True, False)),
    ("", RecordedQos(10, True, False)),
    ("[]", RecordedQos(10, True, False)),
])  # fmt: skip
def test_profiles_of_old_and_new_recordings(text: str, expected: RecordedQos) -> None:
    assert recorded_qos("/rgb/image", text, 3) == expected


def test_static_transforms_are_latched_also_where_the_recording_does_not_say() -> None:
    assert recorded_qos("/tf_static", "", 4) == RecordedQos(10, True, True)


def test_a_latched_topic_keeps_no_more_than_a_bound() -> None:
    assert recorded_qos("/map", profile(durability=1), 10**6).depth == 1000


@given(text=st.text("-: {}[]&*historydepth0123\n", max_size=80))
def test_any_text_gives_a_profile_or_an_error_with_the_topic(text: str) -> None:
    try:
        assert recorded_qos("/rgb/image", text, 1).depth > 0
    except MsdepthError as error:
        assert "/rgb/image" in str(error)


values = (
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats() | st.text(max_size=5) | st.just([]) | st.just({})
)


@given(st.lists(st.tuples(values, values, values), max_size=3))
def test_any_profile_gives_what_ros_can_offer_or_an_error(profiles: list[tuple[object, object, object]]) -> None:
    document = [yaml.safe_load(profile())[0] for _ in profiles]
    for one, drawn in zip(document, profiles, strict=True):
        one |= dict(zip(("depth", "reliability", "durability"), drawn, strict=True))
    try:
        found = recorded_qos("/rgb/image", yaml.safe_dump(document), 1)
    except MsdepthError as error:
        assert "/rgb/image" in str(error)
    else:
        assert type(found.depth) is int and 0 < found.depth <= 1000


def bomb() -> str:
    """A kilobyte of references to references that stand for 10^12 values."""
    lines = ["&a0 [x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 12):
        lines.append(f"&a{level} [{', '.join([f'*a{level - 1}'] * 10)}]")
    return f"[{', '.join(lines)}]"


def test_references_to_references_in_profiles_do_not_fill_the_memory() -> None:
    with pytest.raises(MsdepthError, match="the QoS profiles of /a: references to references"):
        recorded_qos("/a", bomb(), 1)


@pytest.mark.parametrize("key", ["offered_qos_profiles", "name", "message_count", "relative_file_paths", "version"])
def test_references_to_references_in_metadata_do_not_fill_the_memory(tmp_path: Path, key: str) -> None:
    metadata = write_bag(tmp_path / "drive") / "metadata.yaml"
    text = metadata.read_text()
    assert f"{key}:" in text
    metadata.write_text(re.sub(rf"{key}:.*\n(  - .*\n)*", f"{key}: {bomb()}\n", text, count=1))
    expected = "metadata.yaml: references to references .* move metadata.yaml away"
    with pytest.raises(MsdepthError, match=expected), Bag(metadata.parent):
        pass
