"""Images too large for the memory: computed block by block, and written as they come."""

from napari_cwtnet.export.whole_slide.job import Job
from napari_cwtnet.export.whole_slide.run import WholeResult, enhance_to_file

__all__ = ["Job", "WholeResult", "enhance_to_file"]
