"""ROS 2 nodes: the edge where messages become arrays. Everything here may import rclpy, nothing below it does."""
