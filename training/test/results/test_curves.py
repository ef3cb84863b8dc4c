from msdepth_training.results.curves import often


def test_what_hardly_ever_was_stated_is_not_drawn():
    assert often([(0.1, 0.2, 500), (0.5, 0.4, 498), (0.95, 0.0, 1)]) == [(0.1, 0.2), (0.5, 0.4)]
    assert often([]) == []
