"""Worker processes."""

from __future__ import annotations

import os
import threading
from multiprocessing import connection, parent_process


def end_with_parent() -> None:
    """Initializer of a pool: a worker ends when the process that started it is gone, however that ended.

    Otherwise a worker whose parent was killed works on for hours, and writes to the folders of whoever starts again.
    """
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_wait, args=(parent.sentinel,), daemon=True).start()


def _wait(sentinel: int) -> None:
    connection.wait([sentinel])
    os._exit(1)
