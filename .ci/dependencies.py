"""What the product needs at run time: a bill of materials, and whether any of it is known to be
vulnerable. https://cyclonedx.org/docs/1.6/json/

`build/bom.json` lists the packages that pyproject.toml asks for and all that they ask for, as they
are installed here; development tools are not in it. pip-audit then asks the Python index about
exactly those. Where the index cannot be reached, or knows none of them (a mirror without
advisories), that is said and is no failure; a known vulnerability is one.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from importlib.metadata import Distribution, distribution
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fhir_server import __version__

ROOT = Path(__file__).parent.parent
BOM = ROOT / "build" / "bom.json"
# Seconds for one question, and for all of them.
PATIENCE, WHOLE_PATIENCE = 3, 15
_BROKEN_OFF = ("ConnectionError", "Max retries", "ServiceError", "ConnectTimeout", "ReadTimeout")


def main() -> int:
    """0 unless a vulnerability is known."""
    needed = closure()
    BOM.parent.mkdir(exist_ok=True)
    BOM.write_text(bom(needed), encoding="utf-8")
    print(f"{BOM.relative_to(ROOT)}: {len(needed)} packages.")
    return audit(needed)


def closure() -> dict[str, Distribution]:
    """What is needed, by canonical name."""
    found: dict[str, Distribution] = {}
    seen: set[str] = set()
    waiting = [one for one in map(Requirement, direct()) if applies(one, set())]
    while waiting:
        wanted = waiting.pop()
        if str(wanted) in seen:
            continue
        seen.add(str(wanted))
        package = found.setdefault(canonicalize_name(wanted.name), distribution(wanted.name))
        further = map(Requirement, package.requires or ())
        waiting += [one for one in further if applies(one, wanted.extras)]
    return dict(sorted(found.items()))


def direct() -> list[str]:
    """The product's own requirements."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return list(project["dependencies"])


def applies(requirement: Requirement, extras: set[str]) -> bool:
    """Whether it is asked for on this machine, with one of these extras or without."""
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in extras or {""})


def bom(needed: dict[str, Distribution]) -> str:
    """The packages in CycloneDX, with their licences as they state them."""
    licences = LicenseFactory()
    components = {}
    for name, package in needed.items():
        stated = licence(package)
        purl = PackageURL("pypi", None, name, package.version)
        components[name] = Component(
            type=ComponentType.LIBRARY,
            bom_ref=str(purl),
            name=name,
            version=package.version,
            purl=purl,
            licenses=[licences.make_from_string(stated)] if stated else [],
        )
    written = Bom(components=components.values())
    product = Component(type=ComponentType.APPLICATION, name="fhir-server", version=__version__)
    written.metadata.component = product
    written.register_dependency(product, [components[name] for name in named(direct())])
    for name, package in needed.items():
        below = named(package.requires or ()) & components.keys()
        written.register_dependency(components[name], [components[one] for one in below])
    return str(JsonV1Dot6(written).output_as_string(indent=1))


def named(lines: Iterable[str]) -> set[str]:
    """The packages of these requirements that are asked for on this machine."""
    asked = (one for one in map(Requirement, lines) if applies(one, set()))
    return {canonicalize_name(one.name) for one in asked}


def licence(package: Distribution) -> str:
    """Its expression, or else what its classifiers or its first line of licence say."""
    said = package.metadata
    listed = said.get_all("Classifier") or []
    classified = [c.rpartition(" :: ")[2] for c in listed if c.startswith("License :: ")]
    first = (said.get("License") or "").strip().partition("\n")[0]
    return str(said.get("License-Expression") or " or ".join(classified) or first)


def audit(needed: dict[str, Distribution]) -> int:
    """Asks about each; 1 where a vulnerability is known."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as pinned:
        pinned.writelines(f"{name}=={one.version}\n" for name, one in needed.items())
        pinned.flush()
        command = [sys.executable, "-m", "pip_audit", "--progress-spinner=off", "--format=json"]
        command += [f"--timeout={PATIENCE}", "--disable-pip", "--no-deps", "-r", pinned.name]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=WHOLE_PATIENCE
            )
        except subprocess.TimeoutExpired:
            return unaudited(f"the index did not answer within {WHOLE_PATIENCE} seconds")
    return judged(done.returncode, done.stdout, done.stderr)


def judged(code: int, out: str, errors: str) -> int:
    """What pip-audit's answer means."""
    try:
        listed = json.loads(out)["dependencies"]
    except ValueError:
        if any(word in errors for word in _BROKEN_OFF):
            return unaudited("the index cannot be reached")
        print(errors, file=sys.stderr)
        return code or 1
    known = [one for one in listed if "skip_reason" not in one]
    if not known:
        return unaudited("the index knows none of the packages: a mirror without advisories")
    bad = [one for one in known if one["vulns"]]
    for one in bad:
        told = ", ".join(f"{v['id']} (fixed in {fixed(v)})" for v in one["vulns"])
        print(f"VULNERABLE: {one['name']} {one['version']}: {told}")
    print(f"{len(known)} of {len(listed)} packages audited, {len(bad)} vulnerable.")
    return 1 if bad else 0


def fixed(vulnerability: dict[str, list[str]]) -> str:
    """The versions that are free of it."""
    return re.sub(r"[\[\]']", "", str(vulnerability["fix_versions"])) or "no version"


def unaudited(why: str) -> int:
    """Said plainly: nobody should take it for an audit."""
    print(f"NOT AUDITED for known vulnerabilities: {why}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
