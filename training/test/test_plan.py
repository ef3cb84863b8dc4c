import dataclasses

import pytest

from msdepth_training.config import PlanConfig, find_config, read_yaml
from msdepth_training.networks import NetworkConfig
from msdepth_training.plan import make_jobs, ready, run_plan, state
from msdepth_training.results.rows import ROWS
from msdepth_training.stages.runs import phases_of


@pytest.fixture
def plan(config):
    return PlanConfig(train=config, seeds=(0, 1), specialist_seeds=(0,), parallel=1)


@pytest.mark.parametrize("name", ["results", "results_cpu"])
def test_the_shipped_plans_train_whatever_the_table_needs(name):
    plan = read_yaml(PlanConfig, find_config(name))
    jobs = make_jobs(plan)
    assert {row.run for row in ROWS} == {job.name for job in jobs}
    assert len(plan.seeds) == 3
    assert plan.train.network == NetworkConfig(), "the network that ships"


def test_both_recipes_get_the_same(plan):
    jobs = {job.name: job for job in make_jobs(plan) if job.config.seed == 0}
    paper, ours = jobs["fuse_paper"], jobs["fuse_msdepth"]
    assert (paper.needs, ours.needs) == ("align_paper", "align_msdepth")
    for a, b in ((paper, ours), (jobs["align_paper"], jobs["align_msdepth"]), (jobs["specialist_rgb"], ours)):
        assert a.config.network == b.config.network
        assert (a.config.seed, a.config.fault_share, a.config.scenes) == (0, b.config.fault_share, b.config.scenes)
    assert phases_of(paper.config, "fuse") == phases_of(ours.config, "fuse")
    assert phases_of(jobs["align_paper"].config, "align") == phases_of(jobs["specialist_nir"].config, "align")


def test_seeds_come_whole_and_what_others_need_comes_first(plan):
    jobs = make_jobs(plan)
    assert [job.config.seed for job in jobs] == [0] * 8 + [1] * 5
    names = [job.name for job in jobs[:8]]
    for job in jobs[:8]:
        assert not job.needs or names.index(job.needs) < names.index(job.name)


def test_what_waits_for_another_run_is_not_begun(plan, tmp_path):
    first = ready(make_jobs(plan), tmp_path, [])
    assert {job.name for job in first if job.config.seed == 1} == {"align_none", "align_paper", "align_msdepth"}


def test_what_is_finished_or_being_worked_on_is_left_alone(plan, runs):
    left = ready(make_jobs(plan), runs, [runs / "1" / "align_none"])
    names = {(job.config.seed, job.name) for job in left}
    assert names == {
        (0, "specialist_rgb"), (0, "specialist_thermal"), (1, "align_paper"), (1, "align_msdepth"),
    }  # fmt: skip


def test_a_plan_is_stopped_by_time_and_goes_on(config, source, machine, tmp_path):
    phase = dataclasses.replace(config.align.phases[0], steps=2)
    config = dataclasses.replace(
        config,
        align=dataclasses.replace(config.align, phases=(phase,)),
        fuse=dataclasses.replace(config.fuse, phases=(phase,)),
    )
    plan = PlanConfig(train=config, seeds=(), specialist_seeds=(3,))
    assert run_plan(plan, tmp_path, source, machine=machine, minutes=0.0) == {}
    done = run_plan(plan, tmp_path, source, machine=machine)
    assert {name: progress.steps for name, progress in done.items()} == {
        "3/specialist_rgb": 2, "3/specialist_nir": 2, "3/specialist_thermal": 2
    }  # fmt: skip
    assert state(make_jobs(plan), tmp_path) == done
