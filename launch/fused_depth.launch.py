"""Starts the fused_depth node with the transport settings it needs; optionally RViz and a point cloud."""

from __future__ import annotations

import os
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix, get_package_share_directory
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from msdepth_ros.ros.transport import has_roomy_shared_memory, host_only_profile, profile_variable

PACKAGE = "msdepth_ros"
SPECTRA = ("rgb", "nir", "thermal")
INPUTS = tuple(f"{spectrum}/{topic}" for spectrum in SPECTRA for topic in ("image", "camera_info"))
OUTPUTS = ("depth/image", "depth/image_color", "depth/camera_info", "depth/confidence")
BOOLEANS = ["true", "false"]

# Launch arguments that set a parameter of the node where they are given, and leave it to params_file where not:
# parameter, values allowed (None: any), description.
PARAMETER_ARGUMENTS = {
    "model": ("model.path", None, "ONNX model to use"),
    "reference": ("reference", SPECTRA, "camera whose frame the depth has"),
    "image_transport": ("image_transport", ("raw", "compressed"), "how the cameras publish"),
    "calibration_file": ("calibration.file", None, "Kalibr camchain YAML to take the camera poses from, instead of tf"),
    "autostart": ("autostart", BOOLEANS, "false leaves configure and activate to a lifecycle manager"),
}


def generate_launch_description() -> LaunchDescription:
    """Declares the arguments; what depends on their values is in `start`."""
    share = Path(get_package_share_directory(PACKAGE))
    arguments = [
        DeclareLaunchArgument("params_file", default_value=str(share / "config" / "fused_depth.yaml"),
                              description="parameters of the node"),
        DeclareLaunchArgument("namespace", default_value="", description="namespace of the node and its topics"),
        DeclareLaunchArgument("use_sim_time", default_value="false", choices=BOOLEANS, description="time from /clock"),
        DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn, error or fatal"),
        DeclareLaunchArgument("rviz", default_value="false", choices=BOOLEANS, description="start RViz"),
        DeclareLaunchArgument("points", default_value="false", choices=BOOLEANS,
                              description="publish fused_depth/points with depth_image_proc"),
        DeclareLaunchArgument("transport", default_value="vehicle", choices=["vehicle", "host_only", "default"],
                              description="Fast DDS profile; default leaves the choice to the process"),
    ]  # fmt: skip
    arguments += [
        DeclareLaunchArgument(name, default_value="", choices=["", *choices] if choices else None,
                              description=f"{text} (empty: as in params_file)")
        for name, (_, choices, text) in PARAMETER_ARGUMENTS.items()
    ]  # fmt: skip
    arguments += [
        DeclareLaunchArgument(topic.replace("/", "_"), default_value=topic, description=f"topic to use as {topic}")
        for topic in INPUTS
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=start)])


def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Builds the actions from the values of the arguments."""

    def value(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    share = Path(get_package_share_directory(PACKAGE))
    remappings = [(topic, value(topic.replace("/", "_"))) for topic in INPUTS]
    parameters = {"use_sim_time": value("use_sim_time") == "true"}
    for name, (parameter, choices, _) in PARAMETER_ARGUMENTS.items():
        if value(name):
            boolean = choices == BOOLEANS
            parameters[parameter] = value(name) == "true" if boolean else ParameterValue(value(name), value_type=str)
    if value("calibration_file"):
        parameters["calibration.source"] = "file"
    node = Node(
        package=PACKAGE,
        executable="fused_depth",
        name="fused_depth",
        namespace=value("namespace"),
        parameters=[value("params_file"), parameters],
        remappings=remappings,
        ros_arguments=["--log-level", f"fused_depth:={value('log_level')}"],
        output="screen",
    )
    actions = [*transport_settings(share, value("transport")), node]
    if value("points") == "true":
        actions.append(points(value("namespace"), parameters["use_sim_time"]))
    if value("rviz") == "true":
        actions.append(rviz(share, value("namespace"), parameters["use_sim_time"], remappings))
    return actions


def transport_settings(share: Path, transport: str) -> list[LaunchDescriptionEntity]:
    """Fast DDS with room for images in shared memory, unless the user has settings of his own."""
    if transport == "default":
        return []
    variable = profile_variable(os.environ)
    if own := os.environ.get(variable):
        return [LogInfo(msg=f"keeping {variable}={own}; its shared-memory segment must hold several images")]
    if transport == "host_only":
        # Humble does not know the discovery range
        humble = os.environ.get("ROS_DISTRO") == "humble"
        localhost = ("ROS_LOCALHOST_ONLY", "1") if humble else ("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        return [SetEnvironmentVariable(variable, str(host_only_profile())), SetEnvironmentVariable(*localhost)]
    settings: list[LaunchDescriptionEntity] = []
    if not has_roomy_shared_memory():
        settings.append(LogInfo(msg="/dev/shm is small, images will be lost: start the container with --shm-size=1g"))
    return [*settings, SetEnvironmentVariable(variable, str(share / "config" / "fastdds_vehicle.xml"))]


def points(namespace: str, use_sim_time: bool) -> Node:
    """A point cloud of the depth image."""
    require("depth_image_proc", "points:=true")
    return Node(
        package="depth_image_proc",
        executable="point_cloud_xyz_node",
        name="fused_depth_points",
        namespace=namespace,
        parameters=[{"use_sim_time": use_sim_time}],
        remappings=[
            ("image_rect", "fused_depth/depth/image"),
            ("camera_info", "fused_depth/depth/camera_info"),
            ("points", "fused_depth/points"),
        ],
    )


def rviz(share: Path, namespace: str, use_sim_time: bool, inputs: list[tuple[str, str]]) -> Node:
    """RViz with the inputs, depth, confidences and a depth cloud."""
    require("rviz2", "rviz:=true")
    outputs = [*OUTPUTS, *(f"confidence/{spectrum}" for spectrum in SPECTRA)]
    # The configuration names the topics absolutely; here they follow the namespace and the remapped inputs.
    remappings = [(f"/{topic}", target) for topic, target in inputs]
    remappings += [(f"/fused_depth/{topic}", f"fused_depth/{topic}") for topic in outputs]
    return Node(
        package="rviz2",
        executable="rviz2",
        name="rviz",
        namespace=namespace,
        arguments=["-d", str(share / "rviz" / "fused_depth.rviz")],
        parameters=[{"use_sim_time": use_sim_time}],
        remappings=remappings,
    )


def require(package: str, argument: str) -> None:
    """Says which package an argument needs, in one line."""
    try:
        get_package_prefix(package)
    except PackageNotFoundError as error:
        raise RuntimeError(f"{argument} needs {package}: install ros-<distro>-{package.replace('_', '-')}") from error
