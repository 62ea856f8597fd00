"""Whether what a network makes of an image helps a classifier (Table VI)."""
