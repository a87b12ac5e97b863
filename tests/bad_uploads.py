"""Kinds of uploads that are no images: what a service is sent, by accident or on purpose."""

from __future__ import annotations

import io
import json
import struct

import numpy as np
from PIL import Image

from kinds_refused import UNREADABLE

NOISE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
FORMATS = {
    "PNG": {},
    "JPEG": {},
    "GIF": {},
    "BMP": {},
    "TIFF": {},
    "WEBP": {"lossless": True},
    "PPM": {},
    "JPEG2000": {},
}
SHARES = (0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)

# How files of other kinds begin.
OTHER_FILES = {
    "gzip": b"\x1f\x8b\x08\x00",
    "bzip2": b"BZh91AY&SY",
    "xz": b"\xfd7zXZ\x00",
    "zstd": b"\x28\xb5\x2f\xfd",
    "7z": b"7z\xbc\xaf\x27\x1c",
    "rar": b"Rar!\x1a\x07\x01\x00",
    "tar": b"photo.jpg" + bytes(248) + b"ustar\x0000",
    "ELF": b"\x7fELF\x02\x01\x01",
    "Windows program": b"MZ\x90\x00\x03",
    "Java class": b"\xca\xfe\xba\xbe\x00\x00\x00\x34",
    "WebAssembly": b"\x00asm\x01\x00\x00\x00",
    "SQLite": b"SQLite format 3\x00",
    "Parquet": b"PAR1\x15\x04",
    "Arrow": b"ARROW1\x00\x00",
    "HDF5": b"\x89HDF\r\n\x1a\n",
    "pickle": b"\x80\x04\x95\x10\x00\x00\x00",
    "Office before 2007": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    "RTF": b"{\\rtf1\\ansi",
    "PostScript": b"%!PS-Adobe-3.0",
    "WAV": b"RIFF\x24\x00\x00\x00WAVEfmt ",
    "AVI": b"RIFF\x24\x00\x00\x00AVI LIST",
    "MP3": b"ID3\x04\x00",
    "Ogg": b"OggS\x00\x02",
    "FLAC": b"fLaC\x00\x00\x00\x22",
    "MIDI": b"MThd\x00\x00\x00\x06",
    "Matroska": b"\x1a\x45\xdf\xa3",
    "MPEG": b"\x00\x00\x01\xba",
    "Flash": b"FWS\x09",
    "QuickTime": b"\x00\x00\x00\x14ftypqt  ",
    "HEIC": b"\x00\x00\x00\x18ftypheic",
    "DICOM": bytes(128) + b"DICM",
    "FITS": b"SIMPLE  =                    T",
    "NIfTI": struct.pack("<i", 348) + bytes(344),
    "OpenEXR": b"\x76\x2f\x31\x01",
    "Radiance": b"#?RADIANCE\n",
    "Photoshop": b"8BPS\x00\x01",
    "JPEG XL": b"\xff\x0a",
    "MATLAB": b"MATLAB 5.0 MAT-file",
    "TrueType": b"\x00\x01\x00\x00\x00\x0f",
    "WOFF": b"wOF2",
    "certificate": b"-----BEGIN CERTIFICATE-----\n",
    "shell script": b"#!/bin/sh\nrm -rf /\n",
    "PHP": b"<?php system($_GET['c']); ?>",
    "JavaScript": b"alert(document.cookie)",
    "YAML": b"--- !!python/object/apply:os.system ['id']",
    "SQL": b"'; DROP TABLE photos; --",
    "CSV": b"photo,label\na.jpg,cat\n",
    "mail": b"Received: from localhost\r\n",
    "multipart form": b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\n',
    "data URL": b"data:image/png;base64,iVBORw0KGgo=",
    "base64": b"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ",
    "hex": b"89504e470d0a1a0a0000000d49484452",
    "path": b"/etc/passwd",
    "URL": b"http://169.254.169.254/latest/meta-data/",
    "JSON": json.dumps({"image": "iVBORw0KGgo="}).encode(),
    "UTF-16": "a photograph".encode("utf-16"),
    "one byte": b"\xff",
    "spaces": b" " * 1_000,
    "zeros": bytes(10_000),
    "ones": b"\xff" * 10_000,
    "noise": NOISE.tobytes(),
}


def bad_uploads():
    """Each kind of upload by its name."""
    found = {
        f"refused: {name}": kind.X[1]
        for name, kind in UNREADABLE.items()
        if isinstance(kind.X, list) and isinstance(kind.X[1], bytes)
    }
    found |= {f"{name}, its beginning": content for name, content in OTHER_FILES.items()}
    for name, options in FORMATS.items():
        file = io.BytesIO()
        Image.fromarray(NOISE).save(file, name, **options)
        whole = file.getvalue()
        for share in SHARES:
            found[f"{name}, cut to {share:.0%}"] = whole[: int(share * len(whole))]
        found[f"{name} behind a line of text"] = b"photo:\n" + whole
        found[f"{name} without its first byte"] = whole[1:]
        found[f"{name} with its bytes reversed"] = whole[::-1]
    return found
