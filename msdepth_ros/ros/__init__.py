"""ROS 2: the edge where messages become arrays. Everything here may import rclpy, nothing below it does."""
