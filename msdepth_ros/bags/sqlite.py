"""SQLite storage of rosbag2, every schema from Foxy on."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from msdepth_ros.bags.storage import INDEX, Channel, type_name
from msdepth_ros.core.errors import MsdepthError

JOURNALS = ("-journal", "-wal")
"""What SQLite leaves beside a file, by the end of its name, when it was not closed."""
SQLITE_START = b"SQLite format 3\0"
_INDEX_QUERY = "SELECT timestamp, id, 0, topic_id FROM messages ORDER BY id"
_TOPIC_COLUMNS = {"id": int, "name": str, "type": str, "serialization_format": str}
"""Every schema has them."""
_REPAIR = "copy it again, or try `sqlite3 {name} .recover | sqlite3 repaired.db3`"


class SqliteFile:
    """An open `.db3` file; see `storage.Storage`.

    Args:
        path: The file.

    Raises:
        MsdepthError: It is damaged, or no recording.
    """

    def __init__(self, path: Path) -> None:
        """Open the file and index its messages."""
        self.path = path
        self.damage = ""
        try:
            self._database = sqlite3.connect(_uri(path), uri=True, check_same_thread=False)
        except sqlite3.Error as error:
            raise self._error(error) from error
        with ExitStack() as on_error:
            on_error.callback(self._database.close)
            try:
                self._channels = self._read_channels()
                with closing(self._database.execute(_INDEX_QUERY)) as rows:
                    self.index: NDArray[Any] = np.fromiter(rows, INDEX)
            except (sqlite3.Error, ValueError, TypeError, OverflowError) as error:
                raise self._error(error) from error
            unknown = set(np.unique(self.index["channel"]).tolist()) - set(self._channels)
            if unknown:
                raise MsdepthError(
                    f"{path} has messages of topics {sorted(unknown)} that it does not describe: damaged"
                )
            on_error.pop_all()

    @property
    def channels(self) -> dict[int, Channel]:
        """By their id in the table of topics."""
        return self._channels

    def message(self, entry: Any) -> bytes:
        """The serialized message of an entry of the index."""
        query = "SELECT data FROM messages WHERE id = ?"
        try:
            found = self._database.execute(query, (int(entry["offset"]),)).fetchone()
        except sqlite3.Error as error:
            raise self._error(error) from error
        if not found or not isinstance(found[0], bytes):
            raise MsdepthError(f"{self.path}: message {entry['offset']} has no data; {_REPAIR.format(name=self.path)}")
        return found[0]

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    def _read_channels(self) -> dict[int, Channel]:
        """The table of topics, with what later schemas added to it."""
        tables = {row["name"] for row in self._rows("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not {"topics", "messages"} <= tables:
            raise MsdepthError(f"{self.path} is a database, but no recording: it has no tables topics and messages")
        definitions = {}
        if "message_definitions" in tables:
            query = "SELECT topic_type, encoding, encoded_message_definition AS text FROM message_definitions"
            definitions = {row["topic_type"]: (row["text"], row["encoding"]) for row in self._rows(query)}
        topics = self._rows("SELECT * FROM topics")
        for row in topics:
            _check_topic(row)
        return {row["id"]: _channel(row, definitions) for row in sorted(topics, key=lambda row: row["id"])}

    def _rows(self, query: str) -> list[dict[str, Any]]:
        """The whole answer to a query, by column; an answer half read would keep the file open."""
        with closing(self._database.execute(query)) as cursor:
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    def _error(self, error: Exception) -> MsdepthError:
        """What SQLite says, with what to do."""
        journal = [suffix for suffix in JOURNALS if _has_content(self.path, suffix)]
        if journal:
            return MsdepthError(
                f"{self.path} cannot be read: {error}; the recorder left {self.path.name}{journal[0]} beside it, which "
                "SQLite has to merge first: copy both to a folder that you can write to"
            )
        return MsdepthError(f"{self.path} is damaged: {error}; {_REPAIR.format(name=self.path)}")


def _check_topic(row: Mapping[str, Any]) -> None:
    """Tells whether a row of the table of topics has what every schema has.

    Raises:
        ValueError: A column is missing, or has something else in it.
    """
    missing = [name for name in _TOPIC_COLUMNS if name not in row]
    if missing:
        raise ValueError(f"its table topics has no {' and no '.join(missing)}")
    for name, kind in _TOPIC_COLUMNS.items():
        if not isinstance(row[name], kind):
            raise ValueError(f"in its table topics {name} is {str(row[name])[:80]!r}")


def _channel(row: Mapping[str, Any], definitions: Mapping[str, tuple[str, str]]) -> Channel:
    """One row of the table of topics."""
    text, kind = definitions.get(row["type"], ("", ""))
    qos = row.get("offered_qos_profiles") or ""
    return Channel(row["name"], type_name(row["type"], row["serialization_format"]), str(text), str(kind), str(qos))


def _uri(path: Path) -> str:
    """Opens read-only; without locks unless a journal has to be merged, so that read-only media will do."""
    merge = any(_has_content(path, suffix) for suffix in JOURNALS)
    return f"file:{quote(str(path.resolve()))}?mode=ro{'' if merge else '&immutable=1'}"


def _has_content(path: Path, suffix: str) -> bool:
    """Whether SQLite left something beside the file."""
    beside = path.with_name(path.name + suffix)
    return beside.is_file() and beside.stat().st_size > 0
