"""Batches depend on the seed and the step alone, whoever makes them and however many share them."""

import dataclasses

import pytest
import torch

from msdepth_training.batch import Batch
from msdepth_training.errors import TrainingError
from msdepth_training.stages.batches import BatchStream, Share, make_batch, training_batch

CPU = torch.device("cpu")


@pytest.fixture
def phase(config):
    return dataclasses.replace(config.fuse.phases[0], batch=4)


def stream(source, config, phases, *, start=0, share=Share(), ahead=1):  # noqa: B008
    return BatchStream(
        source=source, config=config, phases=phases, share=share, device=CPU, ahead=ahead, start=lambda: start
    )


def same(a, b):
    return all(torch.equal(x.nan_to_num(), y.nan_to_num()) for x, y in zip(a, b, strict=True))


def test_a_batch_maps_the_reference_onto_itself(samples):
    batch = make_batch(samples, torch.tensor([0, 3]), torch.tensor([0, 2]))
    for row, reference in enumerate((0, 2)):
        torch.testing.assert_close(batch.view_from_reference[row, reference], torch.eye(4), atol=1e-5, rtol=0)
    assert torch.isinf(batch.depth_m).any()
    assert torch.equal(batch.reference_k(), torch.stack((samples.k[0, 0], samples.k[3, 2])))


def test_a_batch_depends_on_seed_and_step_alone(samples, config, phase):
    first, again = (training_batch(samples, phase, config, step=7, share=Share(), device=CPU) for _ in range(2))
    other_step = training_batch(samples, phase, config, step=8, share=Share(), device=CPU)
    other_seed = training_batch(samples, phase, dataclasses.replace(config, seed=1), step=7, share=Share(), device=CPU)
    assert same(first, again)
    assert not torch.equal(first.images, other_step.images)
    assert not torch.equal(first.images, other_seed.images)


def test_the_shares_of_two_processes_are_the_batch_of_one(samples, config, phase):
    config = dataclasses.replace(config, fault_share=0.5, crop_share=0.5)
    whole = training_batch(samples, phase, config, step=3, share=Share(), device=CPU)
    parts = [training_batch(samples, phase, config, step=3, share=Share(rank, 2), device=CPU) for rank in range(2)]
    assert [len(part.images) for part in parts] == [2, 2]
    assert same(whole, Batch(*(torch.stack(pair, dim=1).flatten(0, 1) for pair in zip(*parts, strict=True))))


def test_a_stream_goes_through_all_phases_and_can_begin_anywhere(source, samples, config, phase):
    phases = (dataclasses.replace(phase, steps=2, batch=2), dataclasses.replace(phase, steps=2))
    everything = list(stream(source, config, phases))
    assert [len(batch.images) for batch in everything] == [2, 2, 4, 4]
    assert same(everything[3], training_batch(samples, phases[1], config, step=3, share=Share(), device=CPU))
    later = stream(source, config, phases, start=1, ahead=3)
    assert len(later) == 4
    assert all(same(a, b) for a, b in zip(everything[1:], later, strict=True))


def test_what_cannot_be_shared_evenly_is_refused(source, config, phase):
    odd = dataclasses.replace(phase, batch=3)
    with pytest.raises(TrainingError, match="batch of 3 cannot be shared by 2"):
        next(iter(stream(source, config, (odd,), share=Share(0, 2))))


def test_more_sets_than_frames_are_refused(source, config, phase):
    large = dataclasses.replace(phase, batch=9)
    with pytest.raises(TrainingError, match="batch of 9 needs more than the 8 frames"):
        next(iter(stream(source, config, (large,))))
