"""Training: recipes, patches, losses and a loop that can be stopped and taken up again."""
