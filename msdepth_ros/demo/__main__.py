"""`python -m msdepth_ros.demo`."""

from msdepth_ros.demo.command import main

raise SystemExit(main())
