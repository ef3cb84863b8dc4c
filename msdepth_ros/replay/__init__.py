"""Bags without a ROS installation: reading, scoring and reports."""
