"""Lists of models hear at once of a model that has come."""

from __future__ import annotations

from qtpy.QtCore import QObject, Signal


class _ModelNews(QObject):
    """What happens in the models folder.

    Attributes
    ----------
    changed : Signal
        The models folder holds another model than before.
    """

    changed = Signal()


MODEL_NEWS = _ModelNews()
