"""Words in a narrow dock are whole, and none lie over others."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QLabel

from napari_cwtnet.enhancement import Quality
from napari_cwtnet.enhancement.check import Check
from napari_cwtnet.plugin.docks.inspect_form import MapForm
from napari_cwtnet.plugin.docks.quality_table import CheckResult
from napari_cwtnet.plugin.docks.widgets import words_label
from napari_cwtnet.plugin.tasks.enhance import Checked
from napari_cwtnet.slides.degradation import Degradation

WIDTH = 210
CHECK = Check(
    quality=Quality(29.53, 0.852, 28.83, 0.8405, None, None),
    per_region=(),
    regions=(),
    mode="single-image",
    downsample=2.0,
    scale=2,
    mpp=0.5,
    degradation=Degradation.parse("box+jpeg75"),
    reference_degradation=None,
    made_by="stored level",
    model="cwtnet-lite-x2",
)


def test_words_below_a_map(qtbot: Any) -> None:
    form = MapForm()
    qtbot.addWidget(form)
    form.show()
    form.researchers.expand(animate=False)
    form.resize(WIDTH, 500)
    form.words.setText(
        "Block 4: 76.5% at the same place, 86.0% within 1 px, 99.3% within 4 px. " * 2
    )
    qtbot.wait(100)
    assert form.words.height() >= form.words.heightForWidth(form.words.width())


def test_no_map_needs_more_than_the_width(qtbot: Any) -> None:
    form = MapForm()
    qtbot.addWidget(form)
    form.researchers.expand(animate=False)
    figures = dict.fromkeys(("LH1", "HL1", "HH1"), 299.4)
    form.energies.show_energies(dict.fromkeys(("lr", "reference", "sr", "truth"), figures))
    assert form.minimumSizeHint().width() <= WIDTH


def test_a_check_and_its_table(qtbot: Any) -> None:
    shown = CheckResult()
    qtbot.addWidget(shown)
    shown.resize(WIDTH, 100)
    shown.show_check(Checked(None, CHECK, None))
    qtbot.wait(100)
    shown.resize(WIDTH, shown.minimumSizeHint().height())  # what a scroll area leaves it at least
    qtbot.wait(100)
    words = [one for one in shown.findChildren(QLabel) if one.isVisible() and one.wordWrap()]
    assert {"bicubic", "Against the slide"} <= {one.text() for one in words}
    for one in words:
        assert one.height() >= one.heightForWidth(one.width()), one.text()
    assert shown.quality.y() >= shown.sentence.y() + shown.sentence.heightForWidth(WIDTH)


def test_words_take_no_more_room_than_they_need(qtbot: Any) -> None:
    words = words_label()
    qtbot.addWidget(words)
    words.resize(WIDTH, 20)
    words.show()
    words.setText("short")
    short = words.minimumHeight()
    words.setText("long " * 60)
    assert words.minimumHeight() > 3 * short
    words.setText("short")
    assert words.minimumHeight() == short
