import pytest

from msdepth_training.errors import TrainingError
from msdepth_training.results.bars import Bar
from msdepth_training.results.page import BEGIN, END, bars_table, by_condition, make_page, number, write_section


def test_the_rest_of_a_page_is_left_alone(tmp_path):
    page = tmp_path / "results.md"
    page.write_text(f"# Mine\n\n{BEGIN}\nold\n{END}\n\n## Faults\n\nkept\n")
    write_section(page, "new")
    assert page.read_text() == f"# Mine\n\n{BEGIN}\n\nnew\n\n{END}\n\n## Faults\n\nkept\n"
    write_section(page, "newer")
    assert "newer" in page.read_text() and page.read_text().count(BEGIN) == 1


def test_a_page_without_comments_gets_them_at_its_end(tmp_path):
    page = tmp_path / "results.md"
    page.write_text("# Mine\n\n## Faults\n\nkept\n")
    write_section(page, "new")
    assert page.read_text() == f"# Mine\n\n## Faults\n\nkept\n\n{BEGIN}\n\nnew\n\n{END}\n"
    write_section(tmp_path / "fresh.md", "new")
    assert (tmp_path / "fresh.md").read_text().startswith("# Results\n")


@pytest.mark.parametrize("text", [BEGIN, END, f"{END}\n{BEGIN}"])
def test_a_torn_page_is_refused(tmp_path, text):
    page = tmp_path / "results.md"
    page.write_text(text)
    with pytest.raises(TrainingError, match="both comments"):
        write_section(page, "new")
    assert page.read_text() == text


def test_bars_say_met_missed_or_not_measured():
    bars = [Bar("a", 0.5, 0.5), Bar("b", 0.6, 0.5, detail="night"), Bar("c", None, 2.0, at_most=False)]
    assert bars_table(bars).splitlines()[2:] == [
        "| a | 0.500 | at most 0.5 | met |",
        "| b (night) | 0.600 | at most 0.5 | **missed** |",
        "| c | – | at least 2 | not measured |",
    ]


@pytest.mark.parametrize("timed", [False, True])
def test_how_times_were_measured_is_told_where_there_are_times(timed):
    entry = {"row": "a", "condition": "all", "seed_count": 1, "abs_rel": 0.2}
    table = [{**entry, "parameters": 1000, "gflops": 1.0, "ms": 20.0} if timed else entry]
    page = make_page([], table, [], [], conditions=(), deployed={}, command="made", tested="4 frames.")
    assert ("Time is eager PyTorch" in " ".join(page.split())) is timed


def test_spreads_and_gaps_are_shown():
    table = [
        {"row": "a", "condition": "all", "abs_rel": 0.2, "abs_rel_std": 0.01},
        {"row": "a", "condition": "day", "abs_rel": 0.1, "abs_rel_std": None},
    ]
    assert by_condition(table, ("day", "fog"), "abs_rel").splitlines()[2] == "| `a` | 0.200 ± 0.010 | 0.100 | – |"
    assert number(None) == "–"
