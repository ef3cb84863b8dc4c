"""frames.parquet: one row for each set, exact, so that a summary of what was read equals that of what was written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.spectra import SPECTRA, spectra_key
from msdepth_ros.results.frame import SCORES, FrameRecord, Timings

BATCH_ROWS = 500
_LISTS = {
    "band_counts": "int64",
    "band_abs_rel_sums": "float64",
    "bin_counts": "int64",
    "bin_confidence_sums": "float64",
    "bin_correct_counts": "int64",
    "health": "string",
}
_SAME = (
    "bag", "variant", "number", "stamp_ns", "skew_ms", "truth_stamp_ns", "truth_pixels", "confidence", "error",
)  # fmt: skip
_TIMINGS = ("model_ms", "compute_ms", "latency_ms")


def _arrow() -> Any:
    """The pyarrow package.

    Raises:
        MsdepthError: It is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MsdepthError(f"frames.parquet needs pyarrow ({error}); pip install 'msdepth_ros[report]'") from error
    return pyarrow


def _schema(arrow: Any) -> Any:
    """Columns of the file."""
    kinds = {"bag": "string", "variant": "string", "number": "int64", "stamp_ns": "int64", "spectra": "string"}
    kinds |= {"skew_ms": "float64"} | dict.fromkeys(SCORES, "float64")
    kinds |= {"truth_stamp_ns": "int64", "truth_pixels": "int64", "confidence": "float64"}
    kinds |= {f"{kind}_{name}": "float64" for kind in ("confidence", "consistency") for name in SPECTRA}
    fields = [(name, getattr(arrow, kind)()) for name, kind in kinds.items()]
    fields += [(name, arrow.list_(getattr(arrow, kind)())) for name, kind in _LISTS.items()]
    fields += [("error", arrow.string()), *((name, arrow.float64()) for name in _TIMINGS)]
    return arrow.schema(fields)


class FrameWriter:
    """Writes records as they come; use it as a context.

    Args:
        path: The file; an existing one is replaced. Or one open for writing.

    Raises:
        MsdepthError: pyarrow is missing, or the file cannot be written.
    """

    def __init__(self, path: Path | BinaryIO) -> None:
        """Open the file."""
        self._arrow = _arrow()
        self._schema = _schema(self._arrow)
        self._rows: list[dict[str, Any]] = []
        try:
            self._writer = self._arrow.parquet.ParquetWriter(_place(path), self._schema, compression="zstd")
        except OSError as error:
            raise MsdepthError(f"{path}: cannot be written ({error}); name another folder with --out") from error

    def __enter__(self) -> FrameWriter:
        """Use as a context, so that the file is finished."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is left and the file's end."""
        self._flush()
        self._writer.close()

    def add(self, record: FrameRecord) -> None:
        """Takes one record; give them in the order of `record_key`."""
        self._rows.append(_row(record))
        if len(self._rows) >= BATCH_ROWS:
            self._flush()

    def _flush(self) -> None:
        """Writes the rows that wait."""
        if self._rows:
            self._writer.write_table(self._arrow.Table.from_pylist(self._rows, schema=self._schema))
            self._rows = []


def _place(path: Path | BinaryIO) -> Any:
    """A path as pyarrow takes it."""
    return str(path) if isinstance(path, Path) else path


def read_frames(path: Path | BinaryIO) -> Iterator[FrameRecord]:
    """Reads what `FrameWriter` wrote, a few hundred rows at a time.

    Raises:
        MsdepthError: The file cannot be read.
    """
    arrow = _arrow()
    try:
        with arrow.parquet.ParquetFile(_place(path)) as file:
            for batch in file.iter_batches(BATCH_ROWS):
                yield from (_record(row) for row in batch.to_pylist())
    except (OSError, arrow.ArrowException, KeyError) as error:
        raise MsdepthError(f"{path}: cannot be read as frames of an evaluation: {error}; evaluate again") from error


def _row(record: FrameRecord) -> dict[str, Any]:
    """A record as a row."""
    row: dict[str, Any] = {name: getattr(record, name) for name in _SAME}
    row |= {"spectra": spectra_key(record.spectra)}
    row |= {name: record.scores.get(name) for name in SCORES}
    row |= {f"confidence_{name}": record.view_confidence.get(name) for name in SPECTRA}
    row |= {f"consistency_{name}": record.consistency.get(name) for name in SPECTRA}
    row |= {name: list(getattr(record, name)) for name in _LISTS}
    row |= {name: None if record.timings is None else getattr(record.timings, name) for name in _TIMINGS}
    return row


def _record(row: dict[str, Any]) -> FrameRecord:
    """A row as a record."""

    def named(names: tuple[str, ...], prefix: str = "") -> dict[str, float]:
        return {name: row[prefix + name] for name in names if row[prefix + name] is not None}

    same = [name for name in row if name in _SAME]
    values: dict[str, Any] = {name: row[name] for name in same}
    values |= {name: tuple(row[name]) for name in _LISTS}
    return FrameRecord(
        **values,
        spectra=() if row["spectra"] == "none" else tuple(row["spectra"].split("+")),
        scores=named(SCORES),
        view_confidence=named(SPECTRA, "confidence_"),
        consistency=named(SPECTRA, "consistency_"),
        timings=None if row["model_ms"] is None else Timings(*(row[name] for name in _TIMINGS)),
    )
