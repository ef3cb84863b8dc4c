"""`msdepth evaluate`: replays recordings without ROS, scores the depth, and reports."""
