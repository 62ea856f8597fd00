"""Keys for what the Enhance dock does: in napari's list of shortcuts, where they can be changed.

napari 0.9 ignores the key bindings of a plugin's manifest, so they are registered with its manager
of actions when a dock is opened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from app_model.types import KeyBinding, KeyCode, KeyMod
from napari.components import ViewerModel
from napari.utils.action_manager import action_manager

from napari_cwtnet.plugin.viewer.canvas import real_viewer

_PLUGIN, _DOCK = "napari-cwtnet", "Enhance"
_BOTH = KeyMod.CtrlCmd | KeyMod.Shift


@dataclass(frozen=True, slots=True)
class Key:
    """What the dock does at a key.

    Parameters
    ----------
    words : str
        In napari's list of shortcuts.
    code : KeyCode
        With Control (Command on a Mac) and Shift.
    act : callable
        Takes the dock.
    """

    words: str
    code: KeyCode
    act: Callable[[Any], object]

    @property
    def binding(self) -> KeyBinding:
        """The keys."""
        return KeyBinding.from_int(_BOTH | self.code)


KEYS = {
    "enhance_view": Key("Enhance view", KeyCode.KeyE, lambda dock: dock.enhance_view()),
    "enhance_rois": Key("Enhance ROIs", KeyCode.KeyR, lambda dock: dock.enhance_rois()),
    "check_here": Key("Check here", KeyCode.KeyK, lambda dock: dock.check_here()),
    "whole_slide": Key("Write the whole slide", KeyCode.KeyW, lambda dock: dock.open_whole()),
    "live": Key("Live on or off", KeyCode.KeyL, lambda dock: dock.live.click()),
    "split": Key(
        "Compare by a split", KeyCode.KeyD, lambda dock: dock.compare.buttons["split"].click()
    ),
    "cancel": Key("Cancel the enhancement", KeyCode.KeyX, lambda dock: dock.cancel_button.click()),
}
"""By name; the manifest has a command of each."""


def do(name: str, viewer: Any) -> None:
    """Do what a key stands for, in a viewer whose Enhance dock is opened if it is not."""
    _, dock = real_viewer(viewer).window.add_plugin_dock_widget(_PLUGIN, _DOCK)
    KEYS[name].act(dock)


def register_keys() -> None:
    """Let napari know the keys, once; those that the user has chosen stay."""
    for name, key in KEYS.items():
        action = f"{_PLUGIN}:{name}"
        if action in action_manager._actions:
            continue
        chosen = action_manager._shortcuts.get(action)
        action_manager.register_action(action, _doing(name), f"CWT-Net: {key.words}", ViewerModel)
        if not chosen:
            action_manager.bind_shortcut(action, key.binding)


def _doing(name: str) -> Callable[[ViewerModel], None]:
    def act(viewer: ViewerModel) -> None:
        do(name, viewer)

    return act


def with_key(name: str, tip: str) -> str:
    """A tip that names the key as it is now."""
    bound = action_manager._shortcuts.get(f"{_PLUGIN}:{name}")
    return f"{tip} ({_words(bound[0])})" if bound else tip


def _words(binding: Any) -> str:
    return str(binding).replace("Meta", "Cmd")
