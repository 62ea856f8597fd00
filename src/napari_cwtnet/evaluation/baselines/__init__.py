"""The networks that CWT-Net is compared with, each after its own paper.

They are architectures like CWT-Net (see :mod:`napari_cwtnet.model.architectures`): a recipe names
one, the same trainer trains it, and its weights load wherever a model does. None takes a reference.

Each has two sizes. ``published`` is that of its paper. ``matched`` has about as many parameters as
``cwtnet-lite`` at the same scale (±10 %) and the same global bicubic skip, so an equal number of
steps is fair.
"""
