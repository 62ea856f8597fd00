"""Files to pixels: slides of every supported format, read at any downsample from 1 up."""

from napari_cwtnet.slides.backend import Level
from napari_cwtnet.slides.opening import open_slide
from napari_cwtnet.slides.sample import sample_slide
from napari_cwtnet.slides.slide import Slide

__all__ = ["Level", "Slide", "open_slide", "sample_slide"]
