"""One evaluation against another: what got better, what got worse, and whether that is too much."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.results.frame import HIGHER_IS_BETTER, SCORES, Summary

METRICS = (*SCORES, "ece", "consistency", "answered")
"""What is compared; `answered` is the share of the sets that have depth: errors say nothing of the others."""
_SAME = 1e-9


class Limit(NamedTuple):
    """How much worse a metric may get.

    Attributes:
        metric: One of METRICS.
        value: The largest loss that passes.
        relative: Whether it is a share of the value before.
    """

    metric: str
    value: float
    relative: bool


class Extent(NamedTuple):
    """What an evaluation will have, known before it is computed.

    Attributes:
        variants: The cameras of each part of it.
        truths: Whether there is ground truth, of each recording.
    """

    variants: Sequence[str]
    truths: Sequence[bool]

    def lacks(self, metric: str) -> bool:
        """Whether it is certain that a metric will not be there."""
        if metric == "answered":
            return False
        return all(self.truths) if metric == "consistency" else not any(self.truths)


class Change(NamedTuple):
    """One metric of one variant, before and after.

    Attributes:
        variant: The cameras.
        metric: One of METRICS.
        before: In the other evaluation.
        after: In this one.
        verdict: better, worse or same.
        failed: Worse than a limit allows.
    """

    variant: str
    metric: str
    before: float
    after: float
    verdict: str
    failed: bool


@dataclass(frozen=True)
class Comparison:
    """This evaluation against another.

    Attributes:
        name: What it is compared with.
        document: The other metrics.json.
        changes: Every metric that both have.
        differences: Why the two are not quite comparable; empty if they are.
        scope: Which cameras are compared, and which only one of the two has; empty if both have the same.
    """

    name: str
    document: Mapping[str, Any]
    changes: tuple[Change, ...]
    differences: tuple[str, ...]
    scope: str = ""

    @property
    def failures(self) -> tuple[Change, ...]:
        """What got worse than the limits allow."""
        return tuple(change for change in self.changes if change.failed)


def parse_limit(text: str) -> Limit:
    """Reads `METRIC=LOSS` or `METRIC=LOSS%`.

    >>> parse_limit("abs_rel=2%")
    Limit(metric='abs_rel', value=0.02, relative=True)

    Raises:
        MsdepthError: It is written wrongly.
    """
    metric, _, amount = text.partition("=")
    relative = amount.endswith("%")
    try:
        value = float(amount.rstrip("%")) / (100.0 if relative else 1.0)
        if metric in METRICS and 0 <= value < math.inf:
            return Limit(metric, value, relative)
    except ValueError:  # no number: explained below
        pass
    raise MsdepthError(
        f"--fail-if {text!r}: write METRIC=LOSS or METRIC=LOSS%, for example abs_rel=2%; METRIC is one of "
        f"{', '.join(METRICS)}"
    )


def refuse_incomparable(name: str, other: Summary, extent: Extent, limits: Sequence[Limit] = ()) -> None:
    """Says before anything is computed that `compare` will not work.

    Args:
        name: Of the other evaluation.
        other: Before.
        extent: Of this one.
        limits: What must not get worse.

    Raises:
        MsdepthError: They have no variant in common, or a limit is on a metric that one of them lacks.
    """
    shared = _shared(name, other, extent.variants)
    before = [_values(other.result(variant)) for variant in shared]
    for metric in (limit.metric for limit in limits):
        if extent.lacks(metric) or all(values.get(metric) is None for values in before):
            raise _lacking(name, metric)


def compare(name: str, other: Summary, this: Summary, limits: Sequence[Limit] = ()) -> Comparison:
    """Compares two evaluations, variant by variant, over all their recordings.

    Args:
        name: Of the other one.
        other: Before.
        this: After.
        limits: What must not get worse.

    Raises:
        MsdepthError: They have no variant in common, or a limit is on a metric that one of them lacks.
    """
    shared = _shared(name, other, this.variants)
    changes = tuple(change for variant in shared for change in _changes(variant, other, this, limits))
    lacking = [limit.metric for limit in limits if all(change.metric != limit.metric for change in changes)]
    if lacking:
        raise _lacking(name, lacking[0])
    return Comparison(name, other.document, changes, tuple(_differences(other, this)), _scope(other, this, shared))


def _shared(name: str, other: Summary, variants: Sequence[str]) -> list[str]:
    """The variants that both have."""
    shared = [variant for variant in variants if variant in other.variants]
    if not shared:
        raise MsdepthError(
            f"{name}: it has {', '.join(other.variants)}, this evaluation {', '.join(variants)}; compare evaluations "
            "of the same cameras, or see with --sweep what each camera is worth"
        )
    return shared


def _scope(other: Summary, this: Summary, shared: Sequence[str]) -> str:
    """A sentence on what is left out of a comparison, for example of all subsets of a sweep but one."""
    beside = []
    for where, summary in (("there", other), ("here", this)):
        names = [variant for variant in summary.variants if variant not in shared]
        if names:
            beside.append(f"{', '.join(names)} only {where}")
    return f"compared is only {', '.join(shared)}, which both have; {'; '.join(beside)}" if beside else ""


def _lacking(name: str, metric: str) -> MsdepthError:
    """The error for a limit on what is not there."""
    return MsdepthError(
        f"--fail-if {metric}: {name} and this evaluation do not both have it; without ground truth there are no "
        "errors, with it there is no consistency"
    )


def _changes(variant: str, other: Summary, this: Summary, limits: Sequence[Limit]) -> Iterator[Change]:
    """Every metric that both have of a variant."""
    before_all, after_all = _values(other.result(variant)), _values(this.result(variant))
    for metric in METRICS:
        before, after = before_all.get(metric), after_all.get(metric)
        if before is None or after is None:
            continue
        loss = before - after if metric in HIGHER_IS_BETTER else after - before
        same = abs(loss) <= _SAME * max(abs(before), abs(after))
        failed = any(
            limit.metric == metric and not same and loss > limit.value * (abs(before) if limit.relative else 1.0)
            for limit in limits
        )
        yield Change(variant, metric, before, after, "same" if same else "worse" if loss > 0 else "better", failed)


def _values(result: Mapping[str, Any]) -> dict[str, float | None]:
    """Metrics of a RESULT by name."""
    shares = list(result["consistency"].values())
    answered = result["sets_with_depth"] / result["sets"] if result["sets"] else None
    consistency = sum(shares) / len(shares) if shares else None
    return {**result["scores"], "ece": result["ece"], "consistency": consistency, "answered": answered}


def _differences(other: Summary, this: Summary) -> Iterator[str]:
    """What else differs, beside the numbers."""
    for key in ("bags", "failed_bags"):
        if list(other.document[key]) != list(this.document[key]):
            yield f"{key.replace('_', ' ')}: {', '.join(other.document[key]) or 'none'} before, now " + (
                ", ".join(this.document[key]) or "none"
            )
    before, after = other.document["settings"], this.document["settings"]
    for key in sorted({*before, *after} - {"spectra"}):  # the cameras of what is compared are the same
        if before.get(key) != after.get(key):
            yield f"{key}: {before.get(key)} before, now {after.get(key)}"
    for variant in this.variants:
        if variant in other.variants:
            bags = [list(summary.document["results"][variant]["by_bag"]) for summary in (other, this)]
            if bags[0] != bags[1] and other.document["bags"] == this.document["bags"]:
                yield f"{variant}: recordings {', '.join(bags[0])} before, now {', '.join(bags[1])}"
            counts = [summary.result(variant)["sets_with_truth"] for summary in (other, this)]
            if counts[0] != counts[1]:
                yield f"{variant}: {counts[0]} sets with ground truth before, now {counts[1]}"
