"""The fused_depth node: a lifecycle node that only wires parameters, model, calibration, pipeline and diagnostics."""

from __future__ import annotations

import traceback
from dataclasses import replace
from pathlib import Path

from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from msdepth_ros.core.errors import MsdepthError
from msdepth_ros.core.model.engine import DepthEngine, default_model_path
from msdepth_ros.core.settings import Settings
from msdepth_ros.core.spectra import spectra_key
from msdepth_ros.ros.node.calibration import Calibration, FilePoses, PoseSource, TfPoses
from msdepth_ros.ros.node.diagnostics import Diagnostics
from msdepth_ros.ros.node.parameters import declare_parameters, read_settings
from msdepth_ros.ros.node.pipeline import Equipment, Pipeline
from msdepth_ros.ros.node.publishers import Outputs
from msdepth_ros.ros.node.services import Services
from msdepth_ros.ros.node.static_frames import StaticFrames
from msdepth_ros.ros.node.statistics import Statistics
from msdepth_ros.ros.node.sync_policy import make_matcher


def load_engine(settings: Settings) -> DepthEngine:
    """Loads the model that the settings name.

    Raises:
        MsdepthError: it cannot be loaded, is not the one on its card, or does not know the cameras.
    """
    path = Path(settings.model_path) if settings.model_path else default_model_path()
    cache = Path(settings.model_cache_dir) if settings.model_cache_dir else None
    engine = DepthEngine(path, providers=settings.providers, cache_dir=cache)
    unknown = [spectrum for spectrum in settings.spectra if spectrum not in engine.info.spectra]
    if unknown:
        raise MsdepthError(f"model {path} does not know {unknown}; take them out of the parameter spectra")
    return engine


class FusedDepthNode(LifecycleNode):
    """Three cameras in, fused depth out.

    Configure loads and warms the model, activate subscribes, deactivate stops, cleanup frees.

    Raises:
        MsdepthError: a parameter is unknown or has a bad value.
    """

    def __init__(self, **kwargs: object) -> None:
        super().__init__("fused_depth", **kwargs)
        try:
            self._settings = declare_parameters(self, self._on_settings, self._check_settings)
        except MsdepthError:
            self.destroy_node()
            raise
        self._equipment: Equipment | None = None
        self._pipeline: Pipeline | None = None
        self._static_frames: StaticFrames | None = None
        self._enabled = True
        self._diagnostics = Diagnostics(self, self._settings.spectra, lambda: self._settings.watchdog_silence_s)
        self._offered = Services(self, enable=self._enable, load=self._load_for_reload, exchange=self._exchange)

    @property
    def settings(self) -> Settings:
        """The parameters as they are now."""
        return self._settings

    def autostart(self) -> bool:
        """Configures and activates if the parameter ``autostart`` says so; returns whether that worked."""
        if not self._settings.autostart:
            return True
        for transition in (self.trigger_configure, self.trigger_activate):
            if transition() != TransitionCallbackReturn.SUCCESS:
                return False
        return True

    def _on_settings(self, settings: Settings) -> None:
        if self._equipment is not None:
            self._equipment.calibration.set_ground(settings.ground)
        self._settings = settings
        if self._pipeline is not None:
            self._pipeline.reconfigure(settings)

    def _check_settings(self, settings: Settings) -> None:
        """Refuses with MsdepthError a road that cannot be."""
        if self._equipment is not None:
            self._equipment.calibration.check_ground(settings.ground)

    def _enable(self, wanted: bool) -> str:
        """Lets sets be computed, or not; returns what that means now."""
        self._enabled = wanted
        if self._pipeline is None:
            return "kept for when the node is active"
        self._pipeline.enabled = wanted
        return "computing" if wanted else "cameras are still watched, nothing is computed"

    def _load_for_reload(self) -> tuple[Equipment, DepthEngine]:
        """Loads the model once more, in the thread of the service; the present one goes on."""
        equipment, settings = self._equipment, self._settings
        if equipment is None:
            raise MsdepthError("the node has no model yet; configure it")
        engine = load_engine(settings)
        engine.warm_up()
        return equipment, engine

    def _exchange(self, loaded: tuple[Equipment, DepthEngine]) -> str:
        """Takes a model that was loaded for the present equipment; returns its name."""
        before, engine = loaded
        if before is not self._equipment:
            raise MsdepthError("the node was cleaned up meanwhile; its next configure loads the model anyway")
        self._equipment = replace(before, engine=engine)
        if self._pipeline is not None:
            self._pipeline.equipment = self._equipment
        self._diagnostics.configured(self._equipment)
        return f"model {engine.info.title} on {', '.join(engine.providers)}"

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Loads and warms the model, prepares calibration and outputs."""
        try:
            self._settings = read_settings(self)
            self._equipment = self._equip(self._settings)
            if self._settings.publish_tf:
                self._static_frames = StaticFrames(self, self._equipment.calibration)
        except Exception as error:  # noqa: BLE001  rclpy would turn it into a silent ERROR
            return self._refuse("configure", error)
        info = self._equipment.engine.info
        self.get_logger().info(f"model {info.title} on {', '.join(self._equipment.engine.providers)}")
        self._diagnostics.configured(self._equipment)
        return super().on_configure(state)

    def _equip(self, settings: Settings) -> Equipment:
        """Makes what configuring makes; nothing stays behind when it fails."""
        engine = load_engine(settings)
        make_matcher(settings)  # says now, not when activated, if a package is missing
        calibration = self._calibrate(settings)
        try:
            engine.warm_up()
            statistics = Statistics(settings.spectra, reference=settings.reference, limits=settings.health)
            return Equipment(engine, calibration, Outputs(self), statistics)
        except Exception:
            calibration.close()
            raise

    def _calibrate(self, settings: Settings) -> Calibration:
        """Opens the sources of poses, and of the road."""
        from_tf = TfPoses(self) if settings.calibration_source == "tf" else None
        poses: PoseSource = from_tf or FilePoses(settings.calibration_file, settings.spectra)
        if settings.ground.frame and from_tf is None:
            from_tf = TfPoses(self, f"ground.frame is {settings.ground.frame}", "set ground.height_m instead")
        try:
            return Calibration(reference=settings.reference, poses=poses, ground=settings.ground, tree=from_tf)
        except MsdepthError:
            if from_tf is not None:
                from_tf.close()
            raise

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribes to the cameras."""
        try:
            if self._equipment is None:
                raise MsdepthError("not configured")
            self._pipeline = Pipeline(self, self._equipment, lambda: self._settings)
        except Exception as error:  # noqa: BLE001
            return self._refuse("activate", error)
        self._pipeline.enabled = self._enabled
        self._diagnostics.activated(self._pipeline)
        cameras = spectra_key(self._settings.spectra)
        self.get_logger().info(f"active: images of {cameras}")
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribes and stops the inference."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Frees the model and the outputs."""
        self._free()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stops and frees, from whatever state."""
        self._free()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Frees everything, so that the node can be configured again."""
        self._free()
        return TransitionCallbackReturn.SUCCESS

    def _refuse(self, transition: str, error: Exception) -> TransitionCallbackReturn:
        """Says why a transition failed; it can be tried again."""
        if not isinstance(error, MsdepthError):
            self.get_logger().error("".join(traceback.format_exception(type(error), error, error.__traceback__)))
        reason = f"cannot {transition}: {error}"
        self.get_logger().error(reason)
        self._diagnostics.refused(reason)
        return TransitionCallbackReturn.FAILURE

    def _stop(self) -> None:
        self._diagnostics.deactivated()
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None and not pipeline.close():
            self.get_logger().warning("the inference did not end within a second")

    def _free(self) -> None:
        self._stop()
        self._diagnostics.cleaned_up()
        frames, self._static_frames = self._static_frames, None
        if frames is not None:
            frames.close()
        equipment, self._equipment = self._equipment, None
        if equipment is not None:
            equipment.calibration.close()
            equipment.outputs.destroy()

    def destroy_node(self) -> None:
        """Ends the inference thread before the publishers go."""
        if getattr(self, "_offered", None) is not None:
            self._free()
        super().destroy_node()
