"""Publish recordings over ROS 2: `msdepth play`, and `player` as camera drivers would."""
