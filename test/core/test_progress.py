"""The bar of a long command."""

import io
import time

from msdepth_ros.core.progress import ProgressBar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_shows_rate_and_time_left_in_place() -> None:
    stream = Terminal()
    bar = ProgressBar("sets", stream)
    bar(0, 1000)
    time.sleep(0.1)
    bar(10, 1000)
    bar.close()
    first, second = stream.getvalue().rstrip("\n").split("\r\x1b[2K")[1:]
    assert first.startswith("[" + 24 * "." + "] 0/1000 sets")
    assert second.endswith(" left")
    rate = float(second.split("sets  ")[1].split(" sets/s")[0])
    assert 5 < rate <= 100


def test_without_a_terminal_lines_are_few_but_the_last_one_is_there() -> None:
    stream = io.StringIO()
    bar = ProgressBar("sets", stream)
    for done in range(101):
        bar(done, 100)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[-1].startswith("[" + 24 * "#" + "] 100/100 sets")


def test_what_was_done_before_does_not_count_for_the_rate() -> None:
    stream = Terminal()
    bar = ProgressBar("sets", stream)
    bar(900, 1000)
    time.sleep(0.05)
    bar(901, 1000)
    assert float(stream.getvalue().rpartition("sets  ")[2].split(" sets/s")[0]) <= 20
