"""What is planned before anything is computed: which images form a set, which are used, and which truth it has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.health.findings import Fault
from msdepth_ros.core.health.image import PICTURE_FAULTS
from msdepth_ros.core.spectra import SPECTRA
from msdepth_ros.report.frame_pictures import Why

NO_FAULTS: Mapping[str, frozenset[Fault]] = {}


class MessageRef(NamedTuple):
    """Which message of a bag: topic, time of recording, and which of those with the same time.

    Attributes:
        topic: In the bag.
        log_ns: When it was recorded.
        repeat: 0 for the first message of this topic with this time of recording.
        stamp_ns: The header's stamp; offsets of the synchronizer not applied.
    """

    topic: str
    log_ns: int
    repeat: int
    stamp_ns: int


class SetPlan(NamedTuple):
    """One set that the synchronizer made of a recording.

    Attributes:
        bag: Name of the recording, unique in this evaluation.
        variant: The cameras that take part, for example `rgb+thermal`.
        number: Number of the set in its bag and variant, from 0, before `--every`.
        stamp_ns: The set's stamp.
        inputs: The image of each spectrum in the set.
        truth: The ground truth nearest in time, None if there is none within the tolerance.
        wait_ms: From the recording of the newest image that is used until the synchronizer let the set go.
        faults: What is wrong with the pictures, by spectrum; only those with faults.
        left_out: Spectra whose image is not used because of them.
        rejected: Images of this instant that are no images at all and thus in no set, by spectrum.
        pictures: Why the pictures of this set are shown, whatever its scores.
        consistency: Also compare each spectrum's own depth with the fused one.
    """

    bag: str
    variant: str
    number: int
    stamp_ns: int
    inputs: Mapping[str, MessageRef]
    truth: MessageRef | None
    wait_ms: float
    faults: Mapping[str, frozenset[Fault]] = NO_FAULTS
    left_out: tuple[str, ...] = ()
    rejected: Mapping[str, MessageRef] = {}
    pictures: Why = Why.NOT
    consistency: bool = False

    @property
    def refs(self) -> tuple[MessageRef, ...]:
        """Every message that the set needs: what is left out for its pictures."""
        truth = () if self.truth is None else (self.truth,)
        return (*self.inputs.values(), *self.rejected.values(), *truth)

    @property
    def used(self) -> dict[str, MessageRef]:
        """The images that go into the network."""
        return {name: ref for name, ref in self.inputs.items() if name not in self.left_out}

    @property
    def health(self) -> tuple[str, ...]:
        """What is wrong with the images: words such as `rgb:black`, sorted."""
        words = [f"{name}:{fault.value}" for name, faults in self.faults.items() for fault in faults]
        words += [f"{name}:rejected" for name in self.rejected]
        absent = (name for name in self.variant.split("+") if name not in self.inputs and name not in self.rejected)
        return tuple(sorted([*words, *(f"{name}:missing" for name in absent)]))


class Role(IntEnum):
    """What becomes of a camera's image in a set."""

    ABSENT = 0
    USED = 1
    LEFT_OUT = 2
    REJECTED = 3


_FAULTS = [(fault.value, np.bool_) for fault in PICTURE_FAULTS]
_MESSAGE = [("role", np.uint8), ("log_ns", np.int64), ("repeat", np.int32), ("stamp_ns", np.int64)]
_SET: list[tuple[str, Any]] = [("number", np.int64), ("stamp_ns", np.int64), ("wait_ms", np.float64)]
_SET += [("pictures", np.uint8), ("consistency", np.bool_)]
COLUMNS = np.dtype([*_SET, *((name, [*_MESSAGE, ("faults", _FAULTS)]) for name in SPECTRA), ("truth", _MESSAGE)])
"""A set: its own columns, and for each camera and the truth which message, in which role, with which faults."""


class Plan(Sequence[SetPlan]):
    """The sets of one bag and variant in order, as a table; an hour of them costs a few megabytes.

    Args:
        bag: Name of the recording, unique in this evaluation.
        variant: The cameras that take part.
        topics: Topic of each spectrum, and of `truth`.
        rows: Array of COLUMNS.
    """

    def __init__(self, bag: str, variant: str, topics: Mapping[str, str], rows: NDArray[Any]) -> None:
        """Take the rows as they are."""
        self.bag, self.variant, self.topics, self.rows = bag, variant, dict(topics), rows

    @classmethod
    def pack(cls, bag: str, variant: str, topics: Mapping[str, str], sets: Iterable[SetPlan]) -> Plan:
        """Packs sets of this bag and variant."""
        return cls(bag, variant, topics, np.fromiter((_row(planned) for planned in sets), COLUMNS))

    def __len__(self) -> int:
        """Number of sets."""
        return len(self.rows)

    def __getitem__(self, item: Any) -> Any:  # noqa: ANN401  a set for an index, a plan for a slice
        """One set, or a part of the plan."""
        if isinstance(item, slice):
            return Plan(self.bag, self.variant, self.topics, self.rows[item])
        return self._unpack(self.rows[item])

    def needs(self, name: str) -> NDArray[np.bool_]:
        """Which sets need a message of a spectrum, or of the `truth`."""
        needed: NDArray[np.bool_] = self.rows[name]["role"] != Role.ABSENT
        return needed

    def _unpack(self, row: Any) -> SetPlan:  # noqa: ANN401  a record of a structured array
        roles = {name: Role(int(row[name]["role"])) for name in (*SPECTRA, "truth")}
        refs = {
            name: MessageRef(self.topics[name], *(int(row[name][key]) for key in ("log_ns", "repeat", "stamp_ns")))
            for name, role in roles.items()
            if role is not Role.ABSENT
        }
        truth = refs.pop("truth", None)
        rejected = {name: refs.pop(name) for name in SPECTRA if roles[name] is Role.REJECTED}
        found = {name: zip(PICTURE_FAULTS, row[name]["faults"], strict=True) for name in refs}
        faults = {name: frozenset(fault for fault, on in each if on) for name, each in found.items()}
        return SetPlan(
            self.bag, self.variant, int(row["number"]), int(row["stamp_ns"]), refs, truth, float(row["wait_ms"]),
            {name: some for name, some in faults.items() if some},
            tuple(name for name in refs if roles[name] is Role.LEFT_OUT), rejected, Why(int(row["pictures"])),
            bool(row["consistency"]),
        )  # fmt: skip


def _row(planned: SetPlan) -> tuple[Any, ...]:
    """A set as a row of a plan."""

    def message(ref: MessageRef | None, role: Role) -> tuple[Any, ...]:
        return (Role.ABSENT, 0, 0, 0) if ref is None else (role, ref.log_ns, ref.repeat, ref.stamp_ns)

    def image(name: str) -> tuple[Any, ...]:
        ref, role = planned.rejected.get(name), Role.REJECTED
        if name in planned.inputs:
            ref, role = planned.inputs[name], Role.LEFT_OUT if name in planned.left_out else Role.USED
        faults = planned.faults.get(name, ())
        return (*message(ref, role), tuple(fault in faults for fault in PICTURE_FAULTS))

    own = (planned.number, planned.stamp_ns, planned.wait_ms, planned.pictures, planned.consistency)
    return (*own, *map(image, SPECTRA), message(planned.truth, Role.USED))
