"""Peak memory of whole slides does not depend on their size."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import tifffile

from export.whole_help import write_model, write_slide

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the peak is read from /proc/self/status"
)

# Tiles between blocks and other things that are kept fill up at first, to 50 MiB here. In one piece
# 12 Mpx more take 110 MiB at least: the canvas's four bytes a pixel, its copy and the writer's.
CHILD = """
    import sys
    from pathlib import Path
    from napari_cwtnet.export.whole_slide import Job, enhance_to_file
    from napari_cwtnet.geometry import Region
    slide, model, output, side = Path(sys.argv[1]), *sys.argv[2:4], int(sys.argv[4])
    job = Job(slide, model, Region(0, 0, side, side), device="cpu")
    made = enhance_to_file(job, Path(output), block=1024)
    assert made.computed_tiles == made.tiles
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(line for line in status if line.startswith("VmHWM"))
    print(made.blocks, peak.split()[1])
"""


@pytest.mark.slow
def test_four_times_the_image_does_not_take_more_but_for_what_fills_up(tmp_path: Path) -> None:
    slide, model = write_slide(tmp_path / "slide.tif", glass=False), write_model(tmp_path, 4)
    peaks = []
    for side, blocks in ((512, 4), (1024, 16)):
        output = tmp_path / f"{side}.ome.tif"
        words = [sys.executable, "-c", textwrap.dedent(CHILD), slide, model, output, side]
        done = subprocess.run(
            [str(word) for word in words], capture_output=True, text=True, check=True
        )
        count, peak = done.stdout.split()
        assert int(count) == blocks
        with tifffile.TiffFile(output) as tiff:
            assert tiff.series[0].shape == (4 * side, 4 * side, 3)
        peaks.append(int(peak))
    print(f"peaks {peaks} KiB")
    assert peaks[1] - peaks[0] < 80 * 1024
