"""The node's services: pause the computing, and load the model anew without a gap in the depth."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from typing import Generic, TypeVar

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.task import Future
from std_srvs.srv import SetBool, Trigger

from msdepth_ros.core.errors import MsdepthError

LoadedT = TypeVar("LoadedT")


class Services(Generic[LoadedT]):
    """Offers ``~/enable`` and ``~/reload_model``.

    Args:
        node: to offer them with.
        enable: called with whether depth is to be computed; returns what that means now.
        load: called in a thread of its own; returns what was loaded, or raises.
        exchange: called in the executor with what was loaded; returns what it is.
    """

    def __init__(
        self,
        node: Node,
        *,
        enable: Callable[[bool], str],
        load: Callable[[], LoadedT],
        exchange: Callable[[LoadedT], str],
    ) -> None:
        self._node, self._enable, self._load, self._exchange = node, enable, load, exchange
        self._loading = False
        group = ReentrantCallbackGroup()  # in the node's own, images would wait for the reload's end
        node.create_service(SetBool, "~/enable", self._on_enable, callback_group=group)
        node.create_service(Trigger, "~/reload_model", self._on_reload, callback_group=group)

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        response.success, response.message = True, self._enable(request.data)
        self._node.get_logger().info(f"{'enabled' if request.data else 'disabled'}: {response.message}")
        return response

    async def _on_reload(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Answers when the model is there; meanwhile the executor does other things."""
        if self._loading:
            response.message = "a model is being loaded already; wait for it"
            return response
        self._loading = True
        future: Future = Future(executor=self._node.executor)
        # A daemon, so that a provider that builds for minutes does not keep the process from ending.
        threading.Thread(target=self._run, args=(future,), name="msdepth_reload", daemon=True).start()
        try:
            response.message = self._exchange(await future)
            response.success = True
        except Exception as error:  # noqa: BLE001  the old model stays, whatever the new one did
            response.message = f"the old model stays: {error}"
            if not isinstance(error, MsdepthError):
                trace = "".join(traceback.format_exception(type(error), error, error.__traceback__))
                self._node.get_logger().error(trace)
        finally:
            self._loading = False
        self._node.get_logger().info(f"reload_model: {response.message}")
        return response

    def _run(self, future: Future) -> None:
        try:
            future.set_result(self._load())
        except Exception as error:  # noqa: BLE001  handed on to whoever awaits
            future.set_exception(error)
