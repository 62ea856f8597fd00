"""The header of a computed level as DICOM: pixels, place and origin, and no patient data."""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Mapping
from typing import Any

from napari_cwtnet import __version__
from napari_cwtnet.enhancement.plan import RESEARCH_USE
from napari_cwtnet.errors import OutputError
from napari_cwtnet.export.pyramid import image_place
from napari_cwtnet.geometry import Size
from napari_cwtnet.slides.colour import SRGB_PROFILE
from napari_cwtnet.slides.provenance_tags import KEY

TILE = 512
"""Side of a tile, which is a frame, pixels."""
_JPEG2000_LOSSLESS = "1.2.840.10008.1.2.4.90"
_WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
_IMAGE_TYPE = ["DERIVED", "PRIMARY", "VOLUME", "RESAMPLED"]
_METHODS = {"jpeg": "ISO_10918_1", "jpeg2000": "ISO_15444_1"}
_RAW_BITS = 24
"""Of a pixel."""
_MOST_COMMENT = 10_240
"""Bytes that Image Comments holds; readers that count characters take more."""


def make_header(
    number: int, size: Size, frames: int, provenance: Mapping[str, Any], mpp: float
) -> Any:
    """The data set of a level, without its pixels, to be written as a file.

    Parameters
    ----------
    number : int
        Of the level, 0 for the finest.
    size : Size
        Of the level, pixels.
    frames : int
        Tiles of it.
    provenance : mapping
        JSON values; ``badge`` names the image.
    mpp : float
        µm per pixel of level 0.

    Raises
    ------
    OutputError
        If the provenance is longer than DICOM has room for.
    """
    from pydicom.dataset import FileMetaDataset

    words = json.dumps(dict(provenance), sort_keys=True, ensure_ascii=False)
    slide = str(provenance.get("original_fingerprint", provenance.get("slide_fingerprint", words)))
    header = _image(number, size, frames)
    header.update(_pixels(number, size, provenance, mpp))
    header.update(_identity(words, slide, number, provenance))
    header.update(_losses(provenance))
    header.update(_provenance_elements(provenance))
    header.update(_specimen(slide))
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = _JPEG2000_LOSSLESS
    header.file_meta.MediaStorageSOPClassUID = header.SOPClassUID
    header.file_meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    return header


def _uid(*words: str) -> str:
    """The same for the same words; no address of the machine is in it."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, ' '.join((KEY, *words))).int}"


def _dataset(**elements: Any) -> Any:
    from pydicom.dataset import Dataset

    found = Dataset()
    for keyword, value in elements.items():
        setattr(found, keyword, value)
    return found


def _code(value: str, scheme: str, meaning: str) -> Any:
    return _dataset(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def _image(number: int, size: Size, frames: int) -> Any:
    return _dataset(
        SpecificCharacterSet="ISO_IR 192",
        SOPClassUID=_WHOLE_SLIDE,
        ImageType=_IMAGE_TYPE,
        Modality="SM",
        SeriesNumber=1,
        InstanceNumber=number + 1,
        NumberOfFrames=frames,
        Rows=TILE,
        Columns=TILE,
        TotalPixelMatrixColumns=size.width,
        TotalPixelMatrixRows=size.height,
        TotalPixelMatrixFocalPlanes=1,
        SamplesPerPixel=3,
        PhotometricInterpretation="YBR_RCT",
        PlanarConfiguration=0,
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        PixelRepresentation=0,
        DimensionOrganizationType="TILED_FULL",
        VolumetricProperties="VOLUME",
        BurnedInAnnotation="NO",
        SpecimenLabelInImage="NO",
        ExtendedDepthOfField="NO",
        FocusMethod="AUTO",
        Manufacturer="napari-cwtnet",
        ManufacturerModelName="napari-cwtnet",
        DeviceSerialNumber="0",
        SoftwareVersions=__version__,
    )


def _pixels(number: int, size: Size, provenance: Mapping[str, Any], mpp: float) -> Any:
    """Pixel sides and place, all in mm; the slide's first pixel is the origin."""
    place = image_place(provenance, mpp)
    factor = 2**number
    width, height = place.width * factor / 1000, place.height * factor / 1000
    shift = (factor - 1) / 2  # the centre of a coarser pixel lies further in
    x, y = place.x + place.width * shift, place.y + place.height * shift
    thickness = 0.001  # has to be stated, and is not known
    return _dataset(
        ImagedVolumeWidth=size.width * width,
        ImagedVolumeHeight=size.height * height,
        ImagedVolumeDepth=thickness * 1000,
        ImageOrientationSlide=[1, 0, 0, 0, 1, 0],
        PositionReferenceIndicator="",
        TotalPixelMatrixOriginSequence=[
            _dataset(
                XOffsetInSlideCoordinateSystem=_decimal(x / 1000),
                YOffsetInSlideCoordinateSystem=_decimal(y / 1000),
            )
        ],
        SharedFunctionalGroupsSequence=[
            _dataset(
                PixelMeasuresSequence=[
                    _dataset(
                        PixelSpacing=[_decimal(height), _decimal(width)],
                        SliceThickness=_decimal(thickness),
                    )
                ],
                WholeSlideMicroscopyImageFrameTypeSequence=[_dataset(FrameType=_IMAGE_TYPE)],
                OpticalPathIdentificationSequence=[_dataset(OpticalPathIdentifier="1")],
            )
        ],
        NumberOfOpticalPaths=1,
        OpticalPathSequence=[
            _dataset(
                OpticalPathIdentifier="1",
                IlluminationTypeCodeSequence=[_code("111744", "DCM", "Brightfield illumination")],
                IlluminationColorCodeSequence=[_code("414298005", "SCT", "Full Spectrum")],
                ICCProfile=SRGB_PROFILE + b"\0" * (len(SRGB_PROFILE) % 2),
            )
        ],
    )


def _identity(words: str, slide: str, number: int, provenance: Mapping[str, Any]) -> Any:
    """Of this image alone; all images of one slide are of one study and one frame of reference."""
    try:
        time = datetime.datetime.fromisoformat(str(provenance["time"]))
    except (KeyError, ValueError):
        time = datetime.datetime.now(datetime.UTC)
    day, hour = time.strftime("%Y%m%d"), time.strftime("%H%M%S")
    return _dataset(
        StudyInstanceUID=_uid("study", slide),
        SeriesInstanceUID=_uid("series", words),
        SOPInstanceUID=_uid("level", str(number), words),
        PyramidUID=_uid("pyramid", words),
        FrameOfReferenceUID=_uid("frame of reference", slide),
        DimensionOrganizationSequence=[
            _dataset(DimensionOrganizationUID=_uid("dimensions", words))
        ],
        StudyDate="",
        StudyTime="",
        StudyID="",
        AccessionNumber="",
        ReferringPhysicianName="",
        ContentDate=day,
        ContentTime=hour,
        AcquisitionDateTime=day + hour + time.strftime("%z"),
    )


def _losses(provenance: Mapping[str, Any]) -> Any:
    """Whether pixels were ever compressed with losses: here never, so what the slide's were.

    What is not known may have been.
    """
    known = provenance.get("degradation") or {}
    kind = known.get("compression")
    shrunk_here = known.get("kernel_source") == "read"  # from pixels that may be compressed
    if kind == "none" and not shrunk_here:
        return _dataset(LossyImageCompression="00")
    found = _dataset(LossyImageCompression="01")
    if kind in _METHODS:
        found.LossyImageCompressionMethod = _METHODS[kind]
    if known.get("rate"):
        found.LossyImageCompressionRatio = _decimal(_RAW_BITS / known["rate"])
    return found


def _provenance_elements(provenance: Mapping[str, Any]) -> Any:
    """For people the badge; for programs the record as JSON."""
    badge = str(provenance.get("badge", "COMPUTED"))
    record = json.dumps({KEY: dict(provenance)}, ensure_ascii=False, separators=(",", ":"))
    length = len(record.encode())
    if length > _MOST_COMMENT:
        raise OutputError(
            f"DICOM has room for {_MOST_COMMENT} bytes of provenance, and this image has "
            f"{length}; choose .ome.tif or .ome.zarr."
        )
    return _dataset(
        SeriesDescription=_first(badge, 64),
        DerivationDescription=_first(f"{badge}. {provenance.get('notice', RESEARCH_USE)}", 1024),
        ImageComments=record,
    )


def _first(text: str, count: int) -> str:
    """What of a text fits into so many bytes, without half a character."""
    return text.encode()[:count].decode(errors="ignore").strip()


def _specimen(slide: str) -> Any:
    """The patient stays unnamed, and the glass is named after its pixels."""
    name = slide[:16]
    return _dataset(
        PatientName="",
        PatientID="",
        PatientBirthDate="",
        PatientSex="",
        ContainerIdentifier=name,
        IssuerOfTheContainerIdentifierSequence=[],
        ContainerTypeCodeSequence=[_code("433466003", "SCT", "Microscope slide")],
        SpecimenDescriptionSequence=[
            _dataset(
                SpecimenIdentifier=name,
                SpecimenUID=_uid("specimen", slide),
                IssuerOfTheSpecimenIdentifierSequence=[],
                SpecimenPreparationSequence=[],
            )
        ],
        AcquisitionContextSequence=[],
    )


def _decimal(value: float) -> Any:
    """A number in the 16 characters that DICOM has for one."""
    from pydicom.valuerep import DSfloat

    return DSfloat(value, auto_format=True)
