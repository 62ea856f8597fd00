"""Names by which napari knows this plugin and its docks; imports nothing."""

PLUGIN = "napari-cwtnet"
SLIDE, ENHANCE, INSPECT, FINETUNE = "Slide", "Enhance", "Inspect", "Fine-tune"
