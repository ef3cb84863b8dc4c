"""The `msdepth info` command: what is in recordings, and whether `msdepth evaluate` will work on them."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from msdepth_ros.bags.bag_list import expand_bags
from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.text_table import text_table
from msdepth_ros.evaluation.arguments import add_recording_arguments, recording_options
from msdepth_ros.inspection.facts import CameraFacts, Survey, TopicFacts
from msdepth_ros.inspection.survey import survey_bag

DESCRIPTION = (
    "Shows topics, rates, gaps, encodings, how far apart the cameras' stamps are, the calibration that is found, and "
    "whether `msdepth evaluate` will work; if not, why. Takes the same options to find topics as evaluate."
)
EXIT_OK, EXIT_NOT_USABLE = 0, 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `msdepth info`."""
    add_recording_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print everything as JSON, one object for each recording")


def run(arguments: argparse.Namespace) -> int:
    """Shows recordings.

    Args:
        arguments: What `add_arguments` declared.

    Returns:
        0 if evaluate will work on all of them, 1 if it will not work on some.

    Raises:
        MsdepthError: Not one recording can be opened.
    """
    options = recording_options(arguments)
    paths = expand_bags(arguments.bags)
    surveys, errors = [], []
    for path in paths:
        try:
            found = survey_bag(path, options)
        except MsdepthError as error:
            errors.append(str(error))
            continue
        surveys.append(found)
        print(json.dumps(_plain(found)) if arguments.json else "\n".join(describe(found)))
    if not surveys:
        raise MsdepthError("; ".join(errors))
    for text in errors:
        print(f"msdepth: error: {text}", file=sys.stderr)
    return EXIT_NOT_USABLE if errors or any(found.problems for found in surveys) else EXIT_OK


def describe(found: Survey) -> Iterator[str]:
    """A survey as lines of text."""
    start = datetime.fromtimestamp(found.start_ns * 1e-9, timezone.utc).isoformat(" ", "milliseconds")
    count = sum(topic.count for topic in found.topics)
    when = f"{found.duration_ns * 1e-9:.1f} s from {start}, " if count else ""
    yield f"{found.path}: {when}{count} messages on {len(found.topics)} topics"
    yield from (f"  note: {remark}" for remark in found.remarks)
    yield ""
    yield from text_table(
        ("topic", "type", "messages", "rate", "gaps", "longest", "content"), map(_topic, found.topics)
    )
    topics = {facts.topic: facts for facts in found.topics}
    if found.cameras:
        yield ""
        head = ("camera", "images", "camera_info", "rate", "stamp to record", "starts after", "ends before", "stamps")
        yield from text_table(head, (_camera(camera, topics[camera.topic]) for camera in found.cameras))
    if found.skews:
        yield ""
        rows = [(f"{s.first} and {s.second}", *(f"{ms:.1f} ms" for ms in s[2:])) for s in found.skews]
        yield from text_table(("stamps between", "median", "95 %", "largest"), rows)
    yield ""
    yield f"calibration: {_calibration(found)}"
    if found.ground:
        yield f"road: {found.ground}"
    if found.sets:
        yield "sets: " + ", ".join(f"{number} of {key}" for key, number in found.sets.items())
    yield from (f"note: {note}" for note in found.notes)
    yield from (f"msdepth evaluate will not work: {problem}" for problem in found.problems)
    if not found.problems:
        yield "msdepth evaluate will work"


def _calibration(found: Survey) -> str:
    """What is there of it."""
    if found.calibration is None:
        return "not looked for, since the cameras are not known"
    infos = f"camera_info of {', '.join(found.intrinsics)}" if found.intrinsics else ""
    if found.calibration:
        return found.calibration + (f", intrinsics from {infos}" if infos else "")
    return f"incomplete, see below; there is {infos}" if infos else "none that can be used, see below"


def _topic(facts: TopicFacts) -> tuple[str, ...]:
    """A row of the table of topics."""
    rate = "" if facts.rate_hz is None else f"{facts.rate_hz:.1f} Hz"
    longest = f"{facts.longest_s:.2f} s" if facts.count > 1 else ""
    return facts.topic, facts.msgtype, str(facts.count), rate, str(facts.gaps or ""), longest, facts.content


def _camera(facts: CameraFacts, images: TopicFacts) -> tuple[str, ...]:
    """A row of the table of cameras."""
    rates = (("", images.rate_hz), ("median ", images.median_hz))
    rate = ", ".join(f"{name}{rate_hz:.1f} Hz" for name, rate_hz in rates if rate_hz is not None)
    words = [f"{facts.duplicates} repeated"] * bool(facts.duplicates) + [f"{facts.backwards} go back"] * bool(
        facts.backwards
    )
    start = f"{facts.late_start_s:.2f} s" + (" late" if facts.starts_late else "")
    end = f"{facts.early_end_s:.2f} s" + (" early" if facts.ends_early else "")
    delay = "" if facts.delay_ms is None else f"{facts.delay_ms:.1f} ms"
    return facts.name, facts.topic, facts.info or "none", rate, delay, start, end, ", ".join(words) or "in order"


def _plain(found: Survey) -> dict[str, Any]:
    """A survey as JSON takes it."""
    document = dataclasses.asdict(found)
    document["skews"] = [skew._asdict() for skew in found.skews]
    return {**document, "path": str(found.path), "usable": not found.problems}
