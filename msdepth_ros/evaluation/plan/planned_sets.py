"""What is planned before anything is computed: which images form a set, which are used, and which truth it has."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.core.health.findings import Fault
from msdepth_ros.core.health.image import PICTURE_FAULTS
from msdepth_ros.core.spectra import SPECTRA

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
        snapshot: Give the pictures of this set, too.
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
    snapshot: bool = False
    consistency: bool = False

    @property
    def refs(self) -> tuple[MessageRef, ...]:
        """Every message that the set needs: what is left out only for its pictures."""
        truth = () if self.truth is None else (self.truth,)
        return (*(self.inputs if self.snapshot else self.used).values(), *self.rejected.values(), *truth)

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


_REF = [("log_ns", np.int64), ("stamp_ns", np.int64), ("repeat", np.int32), ("faults", np.uint16)]
_ROW = np.dtype(
    [("number", np.int64), ("stamp_ns", np.int64), ("wait_ms", np.float64), ("flags", np.uint16)]
    + [(name, np.dtype(_REF)) for name in (*SPECTRA, "truth")]
)
_SNAPSHOT, _CONSISTENCY = 1, 2
_PRESENT = 2  # the first of the bits that tell whether there is a message of each spectrum, and a truth
_LEFT_OUT = _PRESENT + len(SPECTRA) + 1
_REJECTED = _LEFT_OUT + len(SPECTRA)


def mask_of(faults: Collection[Fault]) -> int:
    """Faults of a picture as bits."""
    return sum((fault in faults) << bit for bit, fault in enumerate(PICTURE_FAULTS))


def faults_of(mask: int) -> frozenset[Fault]:
    """Undoes `mask_of`."""
    return frozenset(fault for bit, fault in enumerate(PICTURE_FAULTS) if mask >> bit & 1)


class Plan(Sequence[SetPlan]):
    """The sets of one bag and variant in order; a hundred bytes each, so that an hour costs a few megabytes.

    Args:
        bag: Name of the recording, unique in this evaluation.
        variant: The cameras that take part.
        topics: Topic of each spectrum, and of `truth`.
        rows: As `pack` makes them.
    """

    def __init__(self, bag: str, variant: str, topics: Mapping[str, str], rows: NDArray[Any]) -> None:
        """Take the rows as they are."""
        self.bag, self.variant, self.topics, self.rows = bag, variant, dict(topics), rows

    @classmethod
    def pack(cls, bag: str, variant: str, topics: Mapping[str, str], sets: Iterator[SetPlan] | list[SetPlan]) -> Plan:
        """Packs sets of this bag and variant."""
        return cls(bag, variant, topics, np.fromiter((_row(planned) for planned in sets), _ROW))

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
        flags = self.rows["flags"]
        there: NDArray[np.bool_] = (flags >> _PRESENT + (*SPECTRA, "truth").index(name) & 1).astype(bool)
        if name not in SPECTRA:
            return there
        unused = (flags >> _bit(_LEFT_OUT, name) & 1).astype(bool) & ~(flags & _SNAPSHOT).astype(bool)
        needed: NDArray[np.bool_] = there & ~unused
        return needed

    def pictures_of(self, numbers: Collection[int]) -> Plan:
        """The part of this plan that has these numbers, with the wish for pictures."""
        rows = self.rows[np.isin(self.rows["number"], list(numbers))].copy()
        rows["flags"] |= _SNAPSHOT
        return Plan(self.bag, self.variant, self.topics, rows)

    def _unpack(self, row: Any) -> SetPlan:  # noqa: ANN401  a record of a structured array
        flags = int(row["flags"])

        refs = {
            name: MessageRef(self.topics[name], *(int(row[name][key]) for key in ("log_ns", "repeat", "stamp_ns")))
            for bit, name in enumerate((*SPECTRA, "truth"), start=_PRESENT)
            if flags >> bit & 1
        }
        rejected = {name: refs.pop(name) for name in SPECTRA if name in refs and flags >> _bit(_REJECTED, name) & 1}
        truth = refs.pop("truth", None)
        faults = {name: faults_of(int(row[name]["faults"])) for name in refs if row[name]["faults"]}
        left_out = tuple(name for name in refs if flags >> _bit(_LEFT_OUT, name) & 1)
        return SetPlan(
            self.bag, self.variant, int(row["number"]), int(row["stamp_ns"]), refs, truth, float(row["wait_ms"]),
            faults, left_out, rejected, bool(flags & _SNAPSHOT), bool(flags & _CONSISTENCY),
        )  # fmt: skip


def _bit(first: int, spectrum: str) -> int:
    """Place of a spectrum's bit among those that begin at `first`."""
    return first + SPECTRA.index(spectrum)


def _row(planned: SetPlan) -> tuple[Any, ...]:
    """A set as a row of a plan."""
    flags = _SNAPSHOT * planned.snapshot + _CONSISTENCY * planned.consistency
    flags += sum(1 << _bit(_LEFT_OUT, name) for name in planned.left_out)
    flags += sum(1 << _bit(_REJECTED, name) for name in planned.rejected)
    there = {**planned.inputs, **planned.rejected, **({} if planned.truth is None else {"truth": planned.truth})}
    refs = []
    for bit, name in enumerate((*SPECTRA, "truth"), start=_PRESENT):
        ref = there.get(name)
        flags |= (ref is not None) << bit
        faults = mask_of(planned.faults.get(name, ()))
        refs.append((0, 0, 0, 0) if ref is None else (ref.log_ns, ref.stamp_ns, ref.repeat, faults))
    return (planned.number, planned.stamp_ns, planned.wait_ms, flags, *refs)
