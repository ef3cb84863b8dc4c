"""Packaging for colcon (ament_python) and for pip: both read this file, also setuptools 59 of ROS 2 Humble."""

import os
from glob import glob

from setuptools import find_packages, setup

NAME = "msdepth_ros"

# Folders installed as they are into share/msdepth_ros, where launch files and the node look for them.
SHARED = ("launch", "config", "models", "rviz")

ROS = [
    "ros-rclpy[fastrtps]==9.1.2",
    "ros-sensor-msgs",
    "ros-std-msgs",
    "ros-diagnostic-msgs",
    "ros-std-srvs",
    "ros-geometry-msgs",
    "ros-lifecycle-msgs",
    "ros-rcl-interfaces",
    "ros-rosgraph-msgs",
]


def data_files() -> list:
    """Lists what belongs into share/: the ament resource marker, package.xml and the shared folders."""
    files = [
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
    ]
    for folder in SHARED:
        members = sorted(path for path in glob(f"{folder}/*") if os.path.isfile(path))
        if members:
            files.append((f"share/{NAME}/{folder}", members))
    return files


setup(
    name=NAME,
    version="0.1.0",
    description="Dense metric depth from RGB, near-infrared and thermal cameras, whichever are usable, for ROS 2",
    license="Apache-2.0",
    author="msdepth_ros maintainers",
    maintainer="msdepth_ros maintainers",
    maintainer_email="maintainers@msdepth-ros.example",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={f"{NAME}.report.page": ["*.css", "*.html", "*.js"]},
    data_files=data_files(),
    zip_safe=False,
    python_requires=">=3.10",
    install_requires=[
        "numpy>=1.21",
        "onnxruntime>=1.17",
        "opencv-python-headless>=4.5",
        "pyyaml>=5.4",
        # Compressed recordings; rosbags brings both, too.
        'backports.zstd; python_version < "3.14"',
        "lz4",
        "rosbags>=0.10",
    ],
    extras_require={
        # rclpy and messages from PyPI, for machines without a ROS 2 distribution; never beside one.
        "ros": ROS,
        # Installs into the same folder as onnxruntime: uninstall that one first, then reinstall this one.
        "gpu": ["onnxruntime-gpu>=1.17"],
        # Ray with its client, for `msdepth evaluate --cluster`.
        "fleet": ["ray[client]>=2.9"],
        "report": ["jinja2>=3.0", "plotly>=5.15", "pyarrow>=12"],
        "test": [
            "cv_bridge==1.13.0.post0",
            "hypothesis",
            "mypy",
            "onnx",
            "playwright",
            "pytest",
            "pytest-timeout",
            "ruff",
            "types-PyYAML",
        ],
    },
    entry_points={
        "console_scripts": [
            f"fused_depth = {NAME}.ros.node.fused_depth:main",
            f"player = {NAME}.ros.play.command:player",
            f"msdepth = {NAME}.cli:main",
        ],
    },
)
