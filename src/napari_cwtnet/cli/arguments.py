"""What can be typed; nothing heavy is imported before a command is chosen."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from napari_cwtnet import __version__
from napari_cwtnet.cli.terminal import printable

_TABLES = {
    "table1": "methods at ×2, ×4 and ×8",
    "table2": "components of CWT-Net",
    "table3": "what feeds the WT branch",
    "table4": "loss",
    "table5": "number of CWTBs",
    "table6": "a classifier on enhanced images",
}


def add_reproduce(
    parser: argparse.ArgumentParser, add_json: Callable[[argparse.ArgumentParser], None]
) -> None:
    """Put the tables, and the page that is made of them, on the parser."""
    actions = parser.add_subparsers(metavar="TABLE", required=True, dest="table")
    for key, title in _TABLES.items():
        table = actions.add_parser(key, help=title, description=f"The paper's table: {title}.")
        _table(table, key)
        add_json(table)
    text = "results page, figures and pictures from the folders of finished tables"
    page = actions.add_parser("page", help=text, description=text)
    page.add_argument("--from", dest="folders", type=Path, nargs="+", required=True, metavar="DIR")
    page.add_argument("--output", type=Path, default=Path("docs/evidence"), help="folder")
    add_json(page)


def _table(parser: argparse.ArgumentParser, key: str) -> None:
    parser.add_argument("--data", type=Path, required=True, help="folder of the recipes' sources")
    parser.add_argument("--output", type=Path, required=True, help="folder; runs in it are kept")
    parser.add_argument("--budget", default="2000", help="of each network: 2000 steps, or 3m")
    parser.add_argument("--seeds", type=int, default=1, help="how many, from 0")
    parser.add_argument(
        "--learning-rate",
        type=float,
        metavar="RATE",
        help="of every network; the table's own if left out",
    )
    parser.add_argument(
        "--dtype",
        choices=("bfloat16", "float32"),
        default="bfloat16",
        help="of training; float32 is faster on processors without bfloat16 instructions",
    )
    if key == "table1":
        parser.add_argument(
            "--scale", type=int, nargs="+", choices=(2, 4, 8), default=[2], help="all in one call"
        )
    else:
        parser.set_defaults(scale=[2])
    made = ("bicubic", "scanner") if key == "table6" else ("bicubic", "levels", "scanner")
    parser.add_argument(
        "--degradation",
        choices=made,
        default="bicubic",
        help="LR by bicubic from images, from real levels of slides, or as a scanner makes it",
    )
    if key == "table6":
        parser.add_argument("--patches", type=Path, required=True, help=".npz with patches, labels")
        parser.add_argument("--epochs", type=int, default=12, help="of the classifier")


class _OneLineParser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, printable(f"{self.prog}: {message}; see {self.prog} --help") + "\n")


def _command(name: str) -> object:
    def run(arguments: argparse.Namespace) -> int | None:
        module = import_module(f"napari_cwtnet.cli.{name}")
        result: int | None = module.run(arguments)
        return result

    return run


def build_parser() -> argparse.ArgumentParser:
    """The parser of every command; ``run`` in its namespace does the work."""
    parser = _OneLineParser(
        prog="napari-cwtnet",
        description="Super-resolution of whole-slide pathology images. "
        "For Research Use Only. Not for use in diagnostic procedures.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, help_text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=help_text, description=help_text)
        command.set_defaults(run=_command(name))
        return command

    demo = add("demo", "enhance the sample slide, with and beyond its truth")
    demo.add_argument("--output", type=Path, default=Path("demo-output"), help="folder")
    demo.add_argument("--no-window", action="store_true", help="do not open napari")
    _json(demo)

    view = add("view", "open a slide in napari, with the docks")
    view.add_argument("slide", type=Path)
    _image(view)

    info = add("info", "show size, pixel size, levels and what can be enhanced")
    info.add_argument("slide", type=Path)
    _image(info)
    _mpp(info)
    _json(info)

    _enhance(add("enhance", "super-resolve a region of a slide, or all of it"))

    _check(add("check", "hide the finest pixels of a slide, compute them again, and measure"))

    _resample(add("resample", "write a slide at an exact pixel size"))

    evaluate = add("evaluate", "measure a model on a folder of images")
    evaluate.add_argument("--images", type=Path, required=True, help="folder")
    evaluate.add_argument("--model", required=True, help="a name or a .safetensors file")
    evaluate.add_argument(
        "--reference", choices=("next", "none", "oracle"), default="none",
        help="WT input: the next-higher level, made like LR; oracle: even where it is the answer",
    )  # fmt: skip
    evaluate.add_argument(
        "--degradation", metavar="SPEC", default="bicubic",
        help="how LR is made: KERNEL[+sharpenA][+noiseS][+jpegQ[-444|-422|-420]], KERNEL one of "
        "bicubic, box, bilinear, lanczos, gaussS; for instance box+jpeg75-420",
    )  # fmt: skip
    evaluate.add_argument(
        "--told", choices=("file", "all", "nothing"), default="file",
        help="what the model is given of it: what a file states, everything, or nothing",
    )  # fmt: skip
    evaluate.add_argument(
        "--nuclei", type=float, nargs="?", const=0.5, metavar="MPP",
        help="also find nuclei in truth, SR and bicubic and compare them; µm per pixel of the "
        "images, 0.5 without a number",
    )  # fmt: skip
    evaluate.add_argument("--pattern", action="append", default=[], help="only these file names")
    _device(evaluate)
    _json(evaluate)

    train = add("train", "train a model by a recipe")
    train.add_argument("recipe", type=Path, help="a YAML file, or the name of a shipped model")
    train.add_argument("--data", type=Path, required=True, help="folder of the recipe's sources")
    train.add_argument(
        "--output", type=Path, required=True, help="folder; a run in it is continued"
    )
    _json(train)

    _finetune(add("finetune", "fine-tune a model on slides"))

    _dataset(add("dataset", "build a dataset of matched samples of slides"))

    _inspect(add("inspect", "show what the network did with a field: attention, sub-bands, trust"))

    add_reproduce(add("reproduce", "reproduce a table of the paper"), _json)

    _bench(add("bench", "measure speed and memory on this machine, as ratios"))

    _models(add("models", "list the models, or export one for other programs"))

    _json(add("doctor", "show what is installed, and what is missing"))
    return parser


def _slides(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("slide", type=Path, nargs="?")
    parser.add_argument(
        "--slides", type=Path, metavar="FILE|DIR",
        help="many slides instead of one: a folder, or a text file with one path per line; "
        "--output is then a folder, with a table slides.csv",
    )  # fmt: skip
    parser.add_argument(
        "--part",
        metavar="K/N",
        help="of --slides: every N-th from the K-th, to share them among N machines",
    )
    parser.set_defaults(replace=False)


def _ending(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ending", choices=(".ome.tif", ".ome.zarr", ".dicom"), default=".ome.tif",
        help="format of the files that --slides writes",
    )  # fmt: skip


def _resample(parser: argparse.ArgumentParser) -> None:
    _slides(parser)
    _ending(parser)
    parser.add_argument("--mpp", type=float, required=True, help="µm per pixel of the result")
    parser.add_argument(
        "--model", metavar="NAME|bicubic|box",
        help="what makes the pixels: box is the mean of what a pixel covers; by default box where "
        "the result is coarser than the slide, and a shipped model where it is finer",
    )  # fmt: skip
    parser.add_argument(
        "--native-mpp", type=float, help="µm per level-0 pixel, in place of what the slide says"
    )
    _image(parser)
    parser.add_argument("--output", type=Path, required=True, help=".ome.tif, .ome.zarr or .dicom")
    parser.add_argument("--device", default="auto", help="device of the model, as in enhance")
    _json(parser)


def _models(parser: argparse.ArgumentParser) -> None:
    _json(parser)
    actions = parser.add_subparsers(metavar="export", dest="action")
    export = actions.add_parser(
        "export", help="write a model as ONNX or as a bioimage.io package",
        description="write a model as ONNX or as a bioimage.io package",
    )  # fmt: skip
    export.add_argument("model", help="name of a model, or a .safetensors file")
    export.add_argument("--format", choices=("onnx", "bioimageio"), default="onnx")
    export.add_argument("--output", type=Path, required=True, help="FILE.onnx or FILE.zip")
    export.add_argument("--tile", type=int, help="fix the input's side, LR pixels; else any size")
    export.add_argument(
        "--reference", choices=("none", "next"), default="none",
        help="next: the cross-scale mode, with the next-higher level as second input",
    )  # fmt: skip
    export.add_argument(
        "--degradation", metavar="SPEC|unknown|input", default="unknown",
        help="what the model is to know of its input, as in evaluate; input: another input",
    )  # fmt: skip
    export.add_argument("--precision", choices=("float32", "float16"), default="float32")
    _json(export)


def _enhance(parser: argparse.ArgumentParser) -> None:
    _slides(parser)
    _ending(parser)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--region", help="X,Y,W,H in level-0 pixels, or all")
    where.add_argument("--roi", type=Path, help="GeoJSON file: the rectangle around its polygon")
    parser.add_argument("--roi-name", help="name of the polygon, if the file has several")
    parser.add_argument("--downsample", type=float, default=1.0, help="of the input, at least 1")
    parser.add_argument("--model", required=True, help="a name or a .safetensors file")
    _reference(parser)
    _sharpness(parser)
    parser.add_argument(
        "--output", type=Path, required=True, help=".png, .ome.tif, .ome.zarr or .dicom"
    )
    _dtype(parser)
    parser.add_argument("--grid", metavar="X,Y,STEPX,STEPY", help="of the tiles, LR pixels")
    parser.add_argument(
        "--no-skip-background", action="store_true", help="also compute tiles that show no tissue"
    )
    parser.add_argument("--badge", action="store_true", help="draw the badge on a PNG's pixels")
    parser.add_argument(
        "--trust", action="store_true",
        help="calibrate on this slide, and write a mask of what not to rely on",
    )  # fmt: skip
    parser.add_argument("--no-icc", action="store_true", help="keep the scanner's colours")
    _image(parser)
    parser.add_argument("--resume", action="store_true", help="continue a run that was stopped")
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="address of a Dask cluster, tcp://HOST:PORT"
    )
    parser.add_argument(
        "--no-space-check",
        action="store_true",
        help="do not check the free disk space before writing block by block",
    )
    parser.add_argument("--block", type=int, metavar="PIXELS", help="side of a block")
    _mpp(parser)
    _device(parser)
    _json(parser)


def _check(parser: argparse.ArgumentParser) -> None:
    _slides(parser)
    parser.add_argument("--output", type=Path, help="folder of the table of --slides")
    parser.add_argument(
        "--region", action="append", default=[], help="X,Y,W,H in level-0 pixels; may be repeated;"
        " a few fields with tissue if left out",
    )  # fmt: skip
    parser.add_argument(
        "--downsample", type=float, help="of the input; the model's scale if left out"
    )
    parser.add_argument("--model", required=True, help="a name or a .safetensors file")
    _reference(parser)
    _sharpness(parser)
    _dtype(parser)
    parser.add_argument("--no-icc", action="store_true", help="keep the scanner's colours")
    _image(parser)
    _mpp(parser)
    _device(parser)
    _json(parser)


def _reference(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--reference", choices=("auto", "next", "none"), default="auto",
        help="WT input: the next-higher level (auto: if it exists, at ×4 and ×8)",
    )  # fmt: skip


def _inspect(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("slide", type=Path)
    parser.add_argument("--region", required=True, help="X,Y,W,H in level-0 pixels")
    parser.add_argument("--downsample", type=float, default=1.0, help="of the input, at least 1")
    parser.add_argument("--model", required=True, help="a name or a .safetensors file")
    _reference(parser)
    _sharpness(parser)
    parser.add_argument("--probe", help="X,Y in level-0 pixels: a query to ask in every block")
    parser.add_argument("--depth", type=int, default=1, help="octaves of the sub-bands")
    parser.add_argument(
        "--trust", action="store_true",
        help="calibrate on this slide, and mark what not to rely on",
    )  # fmt: skip
    parser.add_argument("--output", type=Path, required=True, help="new folder")
    _dtype(parser)
    parser.add_argument("--no-icc", action="store_true", help="keep the scanner's colours")
    _image(parser)
    _mpp(parser)
    _device(parser)
    _json(parser)


def _finetune(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("slides", type=Path, nargs="*", metavar="SLIDE")
    _image(parser)
    parser.add_argument("--model", help="to start from: a name or a .safetensors file")
    parser.add_argument("--output", type=Path, required=True, help="folder of the run")
    parser.add_argument("--config", type=Path, help="YAML with fields of the recipe")
    parser.add_argument("--minutes", type=float, help="time budget, 10 by default")
    _sharpness(parser)
    parser.add_argument(
        "--held-out", type=float, help="share kept for measuring, a third by default"
    )
    parser.add_argument("--name", help="add the result to your models under this name")
    parser.add_argument("--device", help="auto, cpu, cuda:0, mps; cpu if none is given")
    parser.add_argument("--resume", action="store_true", help="continue the run in --output")
    _json(parser)


def _bench(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--slide", type=Path, help="by default the sample slide")
    parser.add_argument("--models", nargs="+", metavar="NAME", help="by default the shipped ones")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeats", type=int, default=3, help="rounds; medians are reported")
    parser.add_argument("--side", type=int, default=512, help="of the view, LR pixels")
    parser.add_argument("--downsample", type=float, default=2.0, help="of the view")
    parser.add_argument("--only", nargs="+", choices=("view", "naive", "reading", "memory"))
    parser.add_argument("--naive-sides", type=int, nargs="+", default=[64], help="LR pixels")
    parser.add_argument("--naive-size", default="paper", help="preset of the network for it")
    parser.add_argument("--megapixels", type=int, nargs="+", default=[1, 4, 16])
    _json(parser)


def _dataset(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    help_text = "matched samples of real levels, split 5 : 1, with a manifest"
    build = actions.add_parser("build", help=help_text, description=help_text)
    build.add_argument("slides", type=Path, nargs="+", metavar="SLIDE")
    build.add_argument("--coordinates", default="auto", help="auto, or CSV of SLIDE,X,Y[,LABEL]")
    build.add_argument("--levels", default="40,20,10", help="magnifications")
    build.add_argument("--count", type=int, default=1200, help="most samples, over all slides")
    build.add_argument("--allow-computed", action="store_true", help="make what is not stored")
    build.add_argument("--seed", type=int, default=0)
    build.add_argument("--output", type=Path, required=True, help="new folder")
    _image(build)
    _mpp(build)
    _json(build)


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="report as one JSON object")


def _image(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--image",
        type=int,
        metavar="N",
        help="image to use in a file that has several; info lists them",
    )


def _mpp(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--mpp", type=float, help="µm per level-0 pixel, instead of the file's")


def _sharpness(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sharpness", choices=("auto", "sharp", "medium", "soft", "softest"), default="auto",
        help="assumed softness of the slide if its file does not say; the softer, the more the "
        "model sharpens",
    )  # fmt: skip


def _dtype(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dtype", default="auto", help="auto, float32, bfloat16, float16")


def _device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda:0, mps, openvino:CPU")
