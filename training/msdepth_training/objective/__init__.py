"""What the networks are trained for: one function for each stage and recipe gives all terms and their `total`."""

from msdepth_training.objective.align import ALIGNMENT_WEIGHTS, Alignment, align_objective
from msdepth_training.objective.depth import DepthLoss
from msdepth_training.objective.fused import objective
from msdepth_training.objective.paper import paper_fuse_objective
from msdepth_training.objective.points import PAIRS, alignment_recall, recall_at_1
from msdepth_training.objective.truth import RANGE_M, log_truth_and_weight, subsample

__all__ = [
    "ALIGNMENT_WEIGHTS",
    "PAIRS",
    "RANGE_M",
    "Alignment",
    "DepthLoss",
    "align_objective",
    "alignment_recall",
    "log_truth_and_weight",
    "objective",
    "paper_fuse_objective",
    "recall_at_1",
    "subsample",
]
