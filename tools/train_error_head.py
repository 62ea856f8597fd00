"""Teach a model to predict its own error, and put the head into its weights file.

Usage: ``python tools/train_error_head.py WEIGHTS.safetensors --data FOLDER [--steps 1500]``

The network itself stays as it is, so that its pixels and figures do. ``--data`` is the folder that
the sources of the model's recipe are relative to. Continue with ``tools/ship_model.py``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from napari_cwtnet import load_model
from napari_cwtnet.model import save_weights
from napari_cwtnet.training.error_head import HeadTrainer

_EVERY = 100


def main() -> None:
    """Train the head of one model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, help="by default the weights file itself")
    parser.add_argument("--steps", type=int, default=1500)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(arguments.weights)
    trainer = HeadTrainer(model, arguments.data, arguments.steps)
    total = 0.0
    for done in trainer.run():
        total += done.loss
        if done.step % _EVERY == 0:
            print(f"step {done.step}: loss {total / _EVERY:.4f}, {done.seconds:.0f} s", flush=True)
            total = 0.0
    known = {**model.provenance, "error_head": {"steps": arguments.steps}}
    recipe = known["recipe"]
    recipe["network"] = {
        **recipe["network"],
        "error_channels": trainer.network.config.error_channels,
    }
    save_weights(arguments.output or arguments.weights, trainer.network, known, torch.float16)


if __name__ == "__main__":
    main()
