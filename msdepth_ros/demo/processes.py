"""Child processes that end when their parent does, and say why when they end too early."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from msdepth_ros.core.errors import MsdepthError

_PR_SET_PDEATHSIG = 1
_REASON_LINES = 6


def _death_signal() -> Callable[[], None] | None:
    """A function that makes the kernel end the calling process when its parent dies, also by SIGKILL; Linux only."""
    if not sys.platform.startswith("linux"):
        return None
    prctl: Any = ctypes.CDLL(None).prctl
    return lambda: prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """One process, with its output in a log file.

    Args:
        name: What people call it.
        module: The Python module to run.
        arguments: Its command line.
        environment: Its whole environment.
        log: File for its stderr, and for its stdout unless `on_line` takes that.
        on_line: Called in a thread with each line of stdout.
    """

    def __init__(
        self,
        name: str,
        module: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        on_line: Callable[[str], None] | None = None,
    ) -> None:
        """Start it, in a session of its own, so that Ctrl-C reaches only us and we end things in order."""
        self.name = name
        self._log = log
        self._reader: threading.Thread | None = None
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if on_line else file,
                stderr=file,
                start_new_session=True,
                preexec_fn=_death_signal(),  # it only makes one system call
            )
        if on_line and self.process.stdout:
            self._reader = threading.Thread(target=self._read, args=(on_line,), name=f"{name}-output", daemon=True)
            self._reader.start()

    def _read(self, on_line: Callable[[str], None]) -> None:
        """Body of the thread that passes stdout on."""
        if self.process.stdout:
            with self.process.stdout as lines:
                for line in lines:
                    on_line(line.decode(errors="replace").rstrip("\n"))

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def check(self, *, may_end: bool = False) -> None:
        """Fail if it ended, in any way but the one allowed.

        Args:
            may_end: Ending with exit code 0 is fine.

        Raises:
            MsdepthError: Says why, as far as its last lines tell.
        """
        code = self.process.poll()
        if code is not None and not (may_end and code == 0):
            how = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
            raise MsdepthError(f"the {self.name} ended early ({how}): {self.reason()}")

    def reason(self) -> str:
        """The last lines of its log."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return " | ".join(lines[-_REASON_LINES:]) or f"it said nothing in {self._log}"

    def end(self, patience_s: float = 10.0) -> None:
        """End it politely, then firmly: SIGINT, SIGTERM, SIGKILL; returns when it is gone.

        Args:
            patience_s: Time for it to finish after SIGINT.
        """
        for number, wait_s in ((signal.SIGINT, patience_s), (signal.SIGTERM, 3.0), (signal.SIGKILL, None)):
            if self.running:
                self.process.send_signal(number)
                try:
                    self.process.wait(wait_s)
                except subprocess.TimeoutExpired:
                    continue
        if self._reader:
            self._reader.join(timeout=2.0)


class Children:
    """All processes of a run; leaving the context ends those that are left, last started first."""

    def __init__(self, environment: Mapping[str, str], logs: Path) -> None:
        """Start with none.

        Args:
            environment: The environment of each process.
            logs: Existing folder for their logs.
        """
        self._environment = environment
        self._logs = logs
        self._all: list[Child] = []

    def __enter__(self) -> Children:
        """Nothing to do yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what is left; a second Ctrl-C in the meantime must not leave anything behind."""
        previous = None
        if threading.current_thread() is threading.main_thread():
            previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            for child in reversed(self._all):
                child.end(patience_s=10.0 if error is None else 3.0)
        finally:
            if previous is not None:
                signal.signal(signal.SIGINT, previous)

    def start(
        self, name: str, module: str, arguments: Sequence[str], on_line: Callable[[str], None] | None = None
    ) -> Child:
        """Start one process; see `Child`."""
        child = Child(name, module, arguments, self._environment, self._logs / f"{name}.log", on_line)
        self._all.append(child)
        return child
