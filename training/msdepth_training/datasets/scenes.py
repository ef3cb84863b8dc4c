"""Rendered sequences on disk: made once, by several processes, resumable; then read whole into memory."""

from __future__ import annotations

import math
import os
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from msdepth_ros.core.spectra import SPECTRA, normalise
from msdepth_training.errors import TrainingError
from msdepth_training.geometry import scale_intrinsics
from msdepth_training.scenes import CONDITIONS, render_frame, sample_rig, sample_scene
from msdepth_training.scenes.scene import Split
from msdepth_training.scenes.style import scene_style

VALIDATION_SEED, TEST_SEED = 1_000_000, 2_000_000
"""First seeds of scenes training never sees. Rigs and sensors are drawn from the seed alone: seeds must not meet."""
SHARD = 20
"""Sequences per file."""
SKY_M = 1e4
"""Stored depth from which on it is sky (which is stored as a number that float16 holds)."""


@dataclass(frozen=True)
class SceneSet:
    """Which sequences: seeds first_seed .. first_seed + sequences - 1 of a split, conditions in turn."""

    split: Split
    first_seed: int
    sequences: int
    height: int
    width: int
    frames: int = 2
    """Of each sequence, 0.3 to 1.2 s apart."""
    jitter: float = 1.0
    """How much rigs vary, see `sample_rig`."""
    style: str = "street"
    """Name of the kind of scenes, see `scenes.style`."""
    baseline: float = 1.0
    """Factor on the distances between the cameras of every rig, everything else being the same."""

    def shard_path(self, folder: Path, index: int) -> Path:
        """File of one shard; the name says all that decides its content."""
        style = scene_style(self.style)
        kind = f"{style.name}{style.version}_{self.split}_{self.height}x{self.width}_j{self.jitter:g}_f{self.frames}"
        kind += f"_b{self.baseline:g}" if self.baseline != 1.0 else ""
        count = min(SHARD, self.sequences - index * SHARD)
        cut = f"_{count}" if count < SHARD else ""  # or a longer set would take the part for the whole
        return folder / f"{kind}_{self.first_seed + index * SHARD:06d}{cut}.pt"


@dataclass(frozen=True)
class Samples:
    """F frames of three cameras in canonical order (rgb, nir, thermal)."""

    images: Tensor
    """uint8 [F, 5, H, W]: red, green, blue, NIR, normalised thermal."""
    depth_m: Tensor
    """float16 [F, 3, H, W], metres along each camera's z; `SKY_M` or more is sky, NaN unknown."""
    k: Tensor
    """[F, 3, 3, 3], px."""
    vehicle_from_camera: Tensor
    """[F, 3, 4, 4], metres."""
    ground_plane: Tensor
    """[F, 4] n and h, metres: n . X = h on the road before the rig, in the vehicle's frame, n of unit length and
    pointing down; all zeros where there is no plane. `scenes.plane_in_camera` brings it to a camera's frame."""
    condition: Tensor
    """int [F], index into `CONDITIONS`."""
    previous: Tensor
    """int [F], index of an earlier frame of the same sequence, or of the frame itself."""
    conditions: ClassVar[tuple[str, ...]] = CONDITIONS
    """What `condition` points into."""

    def __len__(self) -> int:
        return int(self.images.shape[0])

    def views(self, index: Tensor) -> Tensor:
        """Network images [B, 3, 3, H, W] in [0, 1] of the frames at index [B]; one-channel spectra are repeated."""
        raw = self.images[index].float() / 255.0
        return torch.stack((raw[:, :3], raw[:, 3:4].expand(-1, 3, -1, -1), raw[:, 4:5].expand(-1, 3, -1, -1)), dim=1)


def render_sequence(scenes: SceneSet, seed: int) -> list[dict[str, Tensor]]:
    """All frames of one sequence, each by the names of `Samples` without `previous`, ready to be stored."""
    condition = _condition(scenes, seed)
    rng = np.random.default_rng([seed, 3])
    rig = sample_rig(
        rng, scenes.height, scenes.width, jitter=scenes.jitter, style=scenes.style, baseline=scenes.baseline
    )
    scene = sample_scene(seed, scenes.split, condition=CONDITIONS[condition], style=scenes.style, looks=rig.looks)
    late_s = _late_s(scenes, seed)
    time_s, rows = 0.0, []
    for _ in range(scenes.frames):
        frame = render_frame(scene, rig, time_s=time_s, late_s=late_s)
        thermal = normalise("thermal", frame.images["thermal"][0].numpy().astype(np.uint16))[:1]
        images = torch.cat(
            (frame.images["rgb"], frame.images["nir"], torch.from_numpy((thermal * 255.0).round().astype(np.uint8)))
        )
        rows.append(
            {
                "images": images,
                "depth_m": torch.stack([frame.depth_m[s] for s in SPECTRA]).clamp(max=6e4).half(),
                "k": torch.stack([rig.k[s] for s in SPECTRA]),
                "vehicle_from_camera": torch.stack([rig.vehicle_from_camera[s] for s in SPECTRA]),
                "ground_plane": frame.ground_plane,
                "condition": torch.tensor(condition),
            }
        )
        time_s += float(rng.uniform(0.3, 1.2))
    return rows


def _condition(scenes: SceneSet, seed: int) -> int:
    """Index into `CONDITIONS`: in turn; of rich training scenes every other one is by day, like most real images."""
    if scenes.split == "train" and scene_style(scenes.style).rich:
        return CONDITIONS.index("day") if seed % 2 == 0 else seed // 2 % len(CONDITIONS)
    return seed % len(CONDITIONS)


def _late_s(scenes: SceneSet, seed: int) -> dict[str, float]:
    """How much later each camera's images of a sequence are; in half of them, and in test scenes, not at all."""
    rng, most = np.random.default_rng([seed, 17]), scene_style(scenes.style).late_s
    if scenes.split == "test" or scenes.jitter == 0.0 or rng.random() < 0.5:
        most = 0.0
    return {s: float(rng.uniform(0.0, most)) for s in SPECTRA}


def _render_shard(job: tuple[SceneSet, Path, int]) -> int:
    """Write one shard, whole or not at all, unless it is there; returns its number of sequences."""
    scenes, folder, index = job
    path = scenes.shard_path(folder, index)
    if not path.exists():
        first, count = index * SHARD, min(SHARD, scenes.sequences - index * SHARD)
        rows = [
            row for seed in range(first, first + count) for row in render_sequence(scenes, scenes.first_seed + seed)
        ]
        stacked = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
        part = path.with_suffix(f".{os.getpid()}.part")
        torch.save(stacked, part)
        part.rename(path)
    return min(SHARD, scenes.sequences - index * SHARD)


def render_set(scenes: SceneSet, folder: Path, *, workers: int) -> None:
    """Render what is not there yet, with a progress bar.

    Args:
        scenes: which sequences.
        folder: where the shards go.
        workers: processes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shards = math.ceil(scenes.sequences / SHARD)
    jobs = [(scenes, folder, i) for i in range(shards) if not scenes.shard_path(folder, i).exists()]
    if not jobs:
        return
    total = sum(min(SHARD, scenes.sequences - index * SHARD) for _, _, index in jobs)
    title = f"scenes {scenes.split} {scenes.height}x{scenes.width}"
    with ExitStack() as stack:
        bar = stack.enter_context(tqdm(total=total, desc=title, unit="seq"))
        if workers > 1:
            pool = stack.enter_context(
                get_context("spawn").Pool(workers, initializer=torch.set_num_threads, initargs=(1,))
            )
            finished = pool.imap_unordered(_render_shard, jobs)
        else:
            finished = map(_render_shard, jobs)  # a process of its own would only cost its start
        for done in finished:
            bar.update(done)


def load_set(scenes: SceneSet, folder: Path, *, shrink: float = 1.0) -> Samples:
    """Read a rendered set into memory.

    Args:
        scenes: which sequences.
        folder: where their shards are.
        shrink: average images down by this factor, a shard at a time: the whole set is never in memory in full size.

    Raises:
        TrainingError: a shard is missing.
    """
    parts: list[dict[str, Tensor]] = []
    for index in range(math.ceil(scenes.sequences / SHARD)):
        path = scenes.shard_path(folder, index)
        if not path.exists():
            raise TrainingError(
                f"{path} is missing; render the set first with msdepth_training.datasets.scenes.render_set"
            )
        parts.append(shrunk(torch.load(path, weights_only=True), shrink))
    joined = {name: torch.cat([p[name] for p in parts]) for name in parts[0]}
    index = torch.arange(len(joined["condition"]))
    return Samples(**joined, previous=torch.where(index % scenes.frames > 0, index - 1, index))


def shrunk(stored: dict[str, Tensor], factor: float) -> dict[str, Tensor]:
    """Average images down; depth is picked, never averaged across an edge.

    Args:
        stored: frames by the names of `Samples`, H x W.
        factor: at least 1; 1 returns the frames themselves.

    Returns:
        Frames of round(H / factor) x round(W / factor), intrinsics scaled along.
    """
    if factor == 1:
        return stored
    before = stored["images"].shape[-2:]
    height, width = (round(size / factor) for size in before)
    rows, columns = (
        ((torch.arange(now) + 0.5) * was / now).long() for now, was in zip((height, width), before, strict=True)
    )
    return {
        **stored,
        "images": F.adaptive_avg_pool2d(stored["images"].float(), (height, width)).round().to(torch.uint8),
        "depth_m": stored["depth_m"][..., rows[:, None], columns].clone(),
        "k": scale_intrinsics(stored["k"], width / before[1], height / before[0]),
    }
