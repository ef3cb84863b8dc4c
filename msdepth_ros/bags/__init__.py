"""Rosbag2 recordings without ROS: files, messages, topics, calibration and images, whole or damaged."""
