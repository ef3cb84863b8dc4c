"""Worker processes of a Ray cluster: on this machine, or a fleet that is already running."""

from __future__ import annotations

import functools
import os
import secrets
import shutil
import signal
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import ModuleType, TracebackType
from typing import Any, NamedTuple

from msdepth_ros.core.errors import MsdepthError

LOCAL = "local"
_SCHEME = "ray://"
_LOOPBACK = "127.0.0.1"
_STORE_BYTES = 128 * 1024 * 1024
"""Ray's shared memory on this machine; what goes through it are results of a few hundred kilobytes."""
_RETRIES = 3
"""How often the work of a lost worker starts again; what kills four workers will kill the next."""
_REMOVALS = 20
_ATTEMPTS = 3
_TOO_SLOW = "timed out during startup"


class Done(NamedTuple):
    """The end of a piece of work.

    Attributes:
        key: As submitted.
        value: What the function returned; None if it failed.
        error: Why it failed; empty if it did not.
    """

    key: Any
    value: Any
    error: str


class RayWorkers:
    """Runs functions in the worker processes of a Ray cluster, one CPU each; use as a context manager.

    A cluster on this machine ends with it, listens on the loopback interface alone and asks for a token that exists
    for this run only. Nothing is reported to anybody.

    Args:
        address: `local`, or `ray://HOST:PORT` of a running cluster whose machines have this package and see the
            same files under the same paths.
        workers: How many work at a time; None for one on each CPU.

    Raises:
        MsdepthError: The address is not one, Ray is not installed, or there is no such cluster (on entering).
    """

    def __init__(self, address: str, workers: int | None = None) -> None:
        """Check the address; nothing is started yet."""
        if address != LOCAL and not address.startswith(_SCHEME):
            raise MsdepthError(f"cluster {address!r} is neither {LOCAL} nor {_SCHEME}HOST:PORT")
        if workers is not None and workers < 1:
            raise MsdepthError(f"{workers} workers cannot work; give at least one")
        self._address, self._workers = address, workers
        self._stack = ExitStack()
        self._ray: Any = None
        self._remote: Any = None
        self._pending: dict[Any, Any] = {}
        self.workers = self.window = 0

    def __enter__(self) -> RayWorkers:
        """Start or join the cluster."""
        with ExitStack() as stack:
            local = self._address == LOCAL
            cpus = self._workers or len(os.sched_getaffinity(0))
            stack.enter_context(_environment(local=local))
            self._ray = ray = _import_ray()
            folder = stack.enter_context(_folder())
            stack.callback(ray.shutdown)
            on_sigterm = signal.getsignal(signal.SIGTERM)
            try:
                if local:
                    _patiently(ray, functools.partial(_start, ray, cpus, folder))
                else:
                    _patiently(ray, functools.partial(_join, ray, self._address))
                    there = int(ray.cluster_resources().get("CPU", 1))
                    cpus = min(self._workers or there, there)
            except Exception as error:  # Ray raises whatever it likes; nothing of ours runs in this block
                raise MsdepthError(f"cluster {self._address}: {_line(error)}; {_ADVICE[local]}") from error
            _end_on_sigterm(stack, on_sigterm)
            # Twice as many as can run, so that no worker waits for the next one and a cluster knows what is to come.
            self.window = 2 * cpus if local or self._workers is None else cpus
            self.workers = cpus
            self._remote = ray.remote(num_cpus=1, max_retries=_RETRIES)(_guarded)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the cluster; one on this machine ends."""
        self._pending.clear()
        self._stack.close()

    def __len__(self) -> int:
        """Pieces of work under way or waiting."""
        return len(self._pending)

    def submit(self, key: Hashable, function: Callable[..., Any], *arguments: Any) -> None:
        """Have a function of a module run somewhere.

        Args:
            key: To know its end by.
            function: Must give the same result if it runs again: the work of a lost worker is repeated.
            arguments: For the function.
        """
        with self._reached():
            self._pending[self._remote.remote(function, *arguments)] = key

    def next_done(self) -> Done:
        """Wait for the end of some piece of work.

        Raises:
            MsdepthError: The cluster is lost.
        """
        exceptions = self._ray.exceptions
        with self._reached():
            (ready,), _ = self._ray.wait(list(self._pending), num_returns=1)
        key = self._pending.pop(ready)
        with self._reached():
            try:
                value, error = self._ray.get(ready)
            except exceptions.RayTaskError as failure:  # not an MsdepthError, which `_guarded` returns
                return Done(key, None, f"unexpected {type(failure.cause).__name__}: {_line(failure.cause)}")
            except exceptions.RaySystemError:
                raise
            except exceptions.RayError as failure:
                return Done(key, None, f"its worker was lost {_RETRIES + 1} times: {_line(failure)}")
        return Done(key, value, error)

    def forget(self) -> None:
        """Wait no longer for work that is not finished; what is under way ends when the cluster is left."""
        # Not `ray.cancel`: when the work is done at that very moment, Ray aborts this whole process ("Tried to complete
        # task that was not pending"). Leaving ends it as surely: with a cluster on this machine, and elsewhere because
        # Ray kills the workers of whoever disconnects.
        self._pending.clear()

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """Asks something of the cluster; whatever Ray raises then means that it has gone."""
        try:
            yield
        except Exception as error:
            self._pending.clear()
            raise MsdepthError(
                f"cluster {self._address} is lost: {_line(error)}; the same command again goes on where it stopped"
            ) from error


_ADVICE = {
    True: "see whether this machine has memory left, or leave out --cluster",
    False: "see that the cluster runs (`ray status`), that HOST:PORT is its client server (port 10001 unless set "
    "otherwise), and that Ray and Python have the same versions there and here",
}


def _guarded(function: Callable[..., Any], *arguments: Any) -> tuple[Any, str]:
    """Calls a function in a worker and returns what went wrong as text: an error may not survive being sent."""
    try:
        return function(*arguments), ""
    except MsdepthError as error:
        return None, str(error)


@contextmanager
def _environment(*, local: bool) -> Iterator[None]:
    """Sets the environment under which Ray is imported and started, and sets it back."""
    # Without the second one, a call after the cluster is lost would start another one behind our back.
    settings = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_AUTO_CONNECT": "0"}
    if local:
        # The first one is what keeps Ray on loopback, on Linux too: without, it takes the address of the network.
        settings |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
        settings |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": _token()}
    before: Mapping[str, str | None] = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _folder() -> Iterator[str]:
    """A folder for Ray's files that is removed, also if something that is just ending still writes into it."""
    folder = tempfile.mkdtemp(prefix="msdepth-")
    try:
        yield folder
    finally:
        for _ in range(_REMOVALS):
            shutil.rmtree(folder, ignore_errors=True)
            if not os.path.exists(folder):
                break
            time.sleep(0.1)


@functools.cache
def _token() -> str:
    """What this process and its workers know each other by. Ray reads it once, so it cannot change later."""
    return secrets.token_hex(32)


def _start(ray: Any, cpus: int, folder: str) -> None:
    """Starts a cluster of one machine."""
    ray.init(
        address=LOCAL,
        num_cpus=cpus,
        num_gpus=0,
        include_dashboard=False,
        object_store_memory=_STORE_BYTES,
        log_to_driver=False,
        logging_level="error",
        _node_ip_address=_LOOPBACK,
        _temp_dir=folder,
    )
    address = ray.nodes()[0]["NodeManagerAddress"]
    if address != _LOOPBACK:
        raise RuntimeError(f"Ray listens on {address}, since this program had imported it before")


def _end_on_sigterm(stack: ExitStack, before: Any) -> None:
    """Lets a SIGTERM end this process as an interrupt does: Ray's own handler would abort it and leave its files."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        stack.callback(signal.signal, signal.SIGTERM, before)


def _join(ray: Any, address: str) -> None:
    """Joins a cluster that runs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what it warns of is in the error, too
        ray.init(address, log_to_driver=False, logging_level="error")


def _patiently(ray: Any, begin: Callable[[], None]) -> None:
    """Starts or joins, again where Ray's own patience was too short for a busy machine."""
    for attempt in range(_ATTEMPTS):
        try:
            begin()
            return
        except Exception as error:  # Ray raises plain Exception, too
            ray.shutdown()
            slow = isinstance(error, ConnectionAbortedError) or _TOO_SLOW in str(error)
            if not slow or attempt == _ATTEMPTS - 1:
                raise


def _import_ray() -> ModuleType:
    """Ray, or how to get it."""
    try:
        import ray
    except ImportError as error:
        raise MsdepthError("--cluster needs Ray: pip install 'msdepth_ros[fleet]'") from error
    module: ModuleType = ray
    return module


def _line(error: BaseException) -> str:
    """The text of an error in one line."""
    return " ".join(str(error).split()) or type(error).__name__
