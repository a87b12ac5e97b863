"""What a file seems to be if its format is not supported."""

from __future__ import annotations

from skltransfer.inputs.wrapped_files import unwrapping_advice

_SIGNATURES = (
    (b"", "it is empty. Copy or download it again."),
    (b"version https://git-lfs", "it is a Git LFS pointer. Run git lfs pull to get the file."),
    (b"%PDF", "it is a PDF. Export its pages as PNG."),
    (b"PK\x03\x04", "it is a ZIP archive. Unpack it."),
    (b"\x93NUMPY", "it is a NumPy file. Pass the array that np.load gives."),
    (b"<svg", "it is an SVG drawing. Export it as PNG."),
    (b"<", "it is text (HTML or XML), as left by a failed download. Download it again."),
    (b"8BPS", "it is a Photoshop file. Export it as PNG or TIFF."),
    (b"\x89HDF\r\n\x1a\n", "it is HDF5. Pass the arrays in it, as h5py reads them."),
    (b"MATLAB", "it is a MATLAB file. Pass the arrays that scipy.io.loadmat gives."),
    (b"SIMPLE  =", "it is FITS. Pass the arrays that astropy reads, and give pixel_range."),
    (b"v/1\x01", "it is OpenEXR. Pass the arrays that it holds, and give pixel_range."),
    (b"#?RADIANCE", "it is Radiance HDR. Pass the arrays it holds, and give pixel_range."),
    (b"\xff\x0a", "it is JPEG XL. Convert it to PNG, or open it with a Pillow plugin."),
    (b"\0\0\0\x0cJXL ", "it is JPEG XL. Convert it to PNG, or open it with a Pillow plugin."),
    (b"P7\n", "it is PAM. Convert it to PNG or PPM."),
    (b"PF\n", "it is PFM in colours. Pass the array that it holds, and give pixel_range."),
    (b"FUJIFILMCCD-RAW", "it is a raw photograph of a camera. Develop it, and export it as PNG."),
)

_DICOM = (
    "it is DICOM. Pass the arrays that pydicom gives, as in pydicom.dcmread(path).pixel_array "
    "after apply_modality_lut, and give pixel_range."
)


def unknown_content(start: bytes) -> str:
    """Say what the data of an unsupported file seem to be, and what to do.

    Parameters
    ----------
    start : bytes
        The first 132 bytes, or fewer of a shorter file.
    """
    if start[128:132] == b"DICM":
        return _DICOM
    for signature, meaning in _SIGNATURES:
        if start.lstrip().startswith(signature) if signature else not start:
            return meaning
    if (advice := unwrapping_advice(start)) is not None:
        return advice
    if start[4:8] == b"ftyp":
        return "it is HEIC, AVIF or a video. Convert it, or register a Pillow plugin for it."
    kind = "text" if start.isascii() and b"\0" not in start else "data"
    return (
        f"it is {kind} of no known image format, beginning {start[:16]!r}. Supported are JPEG, "
        "PNG, GIF, BMP, TIFF, WebP, AVIF, JPEG 2000 and PPM; open others yourself and pass PIL "
        "images."
    )
