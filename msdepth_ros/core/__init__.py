"""The product without ROS: plain Python that imports neither rclpy, nor message packages, nor PyTorch."""
