"""The fused_depth process with a network that takes as long as it is told: the first argument, seconds."""

from __future__ import annotations

import sys
import time
from typing import Any

from msdepth_ros.core.model.engine import DepthEngine
from msdepth_ros.ros.node.fused_depth import main

if __name__ == "__main__":
    slow_s = float(sys.argv.pop(1))
    estimate = DepthEngine.estimate

    def dawdle(self: DepthEngine, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Computes, and then waits until the time is over."""
        end = time.monotonic() + slow_s
        result = estimate(self, *args, **kwargs)
        time.sleep(max(0.0, end - time.monotonic()))
        return result

    DepthEngine.estimate = dawdle  # type: ignore[method-assign]
    sys.exit(main())
