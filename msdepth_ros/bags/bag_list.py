"""Which recordings a command is to work on: paths, patterns and list files."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from msdepth_ros.bags.files import place_of
from msdepth_ros.core.errors import MsdepthError

LIST_SUFFIX = ".txt"
_STORAGE = (".mcap", ".db3", ".mcap.zstd", ".db3.zstd")
_MAGIC = frozenset("*?[")


def expand_bags(arguments: Sequence[str]) -> list[Path]:
    """The recordings that the arguments of a command mean, each once, in the order given.

    Args:
        arguments: Each is a recording (a folder or a storage file); a pattern with `*`, `?`, `[...]` or `**`; or a
            list file (`.txt`) of such, one on a line, relative to the list file's folder, `#` starting a comment.
            What a pattern meets is taken only if it is a recording. A recording that does not exist is returned all
            the same: the one who opens it says so.

    Raises:
        MsdepthError: A pattern that no recording fits, or a list file that cannot be read or names nothing.
    """
    found = [path for argument in arguments for path in _expand(argument, Path(), lists=True)]
    unique = {path.resolve(): path for path in reversed(found)}
    return [path for path in dict.fromkeys(found) if unique[path.resolve()] == path]


def bag_names(paths: Sequence[Path]) -> list[str]:
    """A short name for each of several recordings: the end of its path, long enough to tell it from the others."""
    parts = [path.resolve().with_suffix("").parts if _is_storage(path) else path.resolve().parts for path in paths]
    lengths = [1] * len(paths)
    while True:
        names = ["/".join(part[-length:]) for part, length in zip(parts, lengths, strict=True)]
        count = Counter(names)
        longer = [i for i, name in enumerate(names) if count[name] > 1 and lengths[i] < len(parts[i])]
        if not longer:
            break
        for index in longer:
            lengths[index] += 1
    # The same folder as a whole and as `name.mcap` beside it: the full name tells them apart.
    return [str(path) if count[name] > 1 else name for name, path in zip(names, paths, strict=True)]


def _expand(argument: str, folder: Path, *, lists: bool) -> Iterator[Path]:
    """What one argument, or one line of a list file in `folder`, means."""
    path = folder / argument
    if path.exists() or not _MAGIC & set(argument):
        if path.suffix.lower() != LIST_SUFFIX:
            yield place_of(path)
        elif lists:
            yield from _read_list(path)
        else:
            raise MsdepthError(f"{path} is a list named in a list; name the recordings themselves")
        return
    matches = sorted(Path(match) for match in glob.glob(str(path), recursive=True))
    bags = [match for match in matches if _is_storage(match) or _holds_storage(match)]
    if not bags:
        met = f"meets {len(matches)} paths, none of them a recording" if matches else "meets nothing"
        raise MsdepthError(f"pattern {path} {met}; it should meet folders with .mcap or .db3 files, or such files")
    whole = set(bags)
    yield from (bag for bag in bags if bag.parent not in whole)


def _read_list(path: Path) -> list[Path]:
    """The recordings that a list file names."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MsdepthError(f"list of bags {path} cannot be read: {error}; write one recording on a line") from error
    lines = [line.split("#", 1)[0].strip() for line in text.splitlines()]
    bags = [bag for line in lines if line for bag in _expand(line, path.parent, lists=False)]
    if not bags:
        raise MsdepthError(f"list of bags {path} names no recording; write one on each line")
    return bags


def _is_storage(path: Path) -> bool:
    """Whether this is a storage file by its name."""
    return path.name.lower().endswith((*_STORAGE, ".bag")) and not path.is_dir()


def _holds_storage(path: Path) -> bool:
    """Whether this folder is a recording: it holds storage files or at least their table of contents."""
    if not path.is_dir():
        return False
    return (path / "metadata.yaml").exists() or any(_is_storage(member) for member in path.iterdir())
