"""The words below a map are whole in a narrow dock."""

from __future__ import annotations

from typing import Any

from napari_cwtnet.plugin.docks.inspect_form import MapForm


def test_words_are_not_sliced_in_a_narrow_dock(qtbot: Any) -> None:
    form = MapForm()
    qtbot.addWidget(form)
    form.show()
    form.researchers.expand(animate=False)
    form.resize(210, 500)
    form.words.setText(
        "Block 4: 76.5% at the same place, 86.0% within 1 px, 99.3% within 4 px. " * 2
    )
    qtbot.wait(100)
    assert form.words.height() >= form.words.heightForWidth(form.words.width())
