"""What runs in threads: it knows of slides and models, and of no layer."""
