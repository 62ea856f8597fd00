"""Words in a narrow dock are whole, and none lie over others."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QPoint
from qtpy.QtGui import QHelpEvent
from qtpy.QtWidgets import QApplication, QLabel, QToolTip

from napari_cwtnet.enhancement import Quality
from napari_cwtnet.enhancement.check import Check
from napari_cwtnet.plugin.docks.inspect_form import MapForm
from napari_cwtnet.plugin.docks.quality_table import CheckResult
from napari_cwtnet.plugin.docks.slide_form import SlideForm
from napari_cwtnet.plugin.docks.widgets import Combo, words_label
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


def test_a_long_choice_loses_its_middle_and_is_whole_in_the_tip(qtbot: Any) -> None:
    combo = Combo({"a": ("cwtnet-research-x4", "")}, "The network", names=True)
    qtbot.addWidget(combo)
    combo.resize(400, 24)
    combo.show()
    assert combo.shown_text == "cwtnet-research-x4"
    combo.resize(90, 24)
    first, last = combo.shown_text.split("…")
    assert first.startswith("cwt")
    assert last.endswith("x4")
    place = QPoint(5, 5)
    asks = QHelpEvent(QHelpEvent.Type.ToolTip, place, combo.mapToGlobal(place))
    QApplication.sendEvent(combo, asks)
    assert QToolTip.text() == "cwtnet-research-x4\nThe network"
    words = Combo({None: ("Auto (the finest)", "")})
    qtbot.addWidget(words)
    words.resize(90, 24)
    assert words.shown_text.startswith("Auto")
    assert words.shown_text.endswith("…")


def test_stored_levels_are_whole(qtbot: Any) -> None:
    form = SlideForm()
    qtbot.addWidget(form)
    table, header = form.levels, form.levels.horizontalHeader()
    form.fill_levels([("1", "0.2485", "98304 × 76032")])
    form.more.setChecked(True)
    form.setFixedWidth(WIDTH)
    form.show()
    qtbot.wait(100)
    for column in range(table.columnCount()):
        needed = max(table.sizeHintForColumn(column), header.sectionSizeHint(column))
        assert table.columnWidth(column) >= needed, column
