"""A CycloneDX bill of materials of the installed distribution, all that it needs, and the embedded model."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import sys
import uuid
from collections import deque
from datetime import UTC, datetime
from importlib import metadata, resources
from pathlib import Path
from typing import Any, TypeAlias

from packageurl import PackageURL
from packaging.requirements import Requirement

Json: TypeAlias = dict[str, Any]

DISTRIBUTION = "ser-agent"
SPEC_VERSION = "1.5"
LONGEST_LICENCE_NAME = 80
"""What is longer is a licence's whole text, not its name."""


def normalised(name: str) -> str:
    """A distribution's name as indexes have it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def purl(distribution: metadata.Distribution) -> str:
    """What identifies it anywhere."""
    return PackageURL("pypi", None, normalised(distribution.name), distribution.version).to_string()


def field(distribution: metadata.Distribution, name: str) -> str | None:
    """A field of its metadata, where it has that."""
    values = distribution.metadata.get_all(name)
    return values[0] if values else None


def licences(distribution: metadata.Distribution) -> list[Json]:
    """Its licence as its metadata tell it: an SPDX expression, else a name, else what its classifiers say."""
    if expression := field(distribution, "License-Expression"):
        return [{"expression": expression}]
    name = (field(distribution, "License") or "").strip()
    if name and len(name) <= LONGEST_LICENCE_NAME and "\n" not in name:
        return [{"license": {"name": name}}]
    prefix = "License :: "
    classifiers = [
        value for value in distribution.metadata.get_all("Classifier") or () if value.startswith(prefix)
    ]
    return [{"license": {"name": value.rpartition(" :: ")[2]}} for value in classifiers]


def component(distribution: metadata.Distribution, kind: str, scope: str | None = None) -> Json:
    """One entry of the bill."""
    entry: Json = {
        "type": kind,
        "bom-ref": purl(distribution),
        "name": distribution.name,
        "version": distribution.version,
        "purl": purl(distribution),
    }
    if summary := field(distribution, "Summary"):
        entry["description"] = summary
    if told := licences(distribution):
        entry["licenses"] = told
    return entry | ({"scope": scope} if scope else {})


def needed(distribution: metadata.Distribution, extras: frozenset[str]) -> list[tuple[str, frozenset[str]]]:
    """Names of what it needs here, each with the extras of that."""
    result = []
    for text in distribution.requires or ():
        requirement = Requirement(text)
        environments = [{"extra": extra} for extra in extras or {""}]
        if requirement.marker is None or any(requirement.marker.evaluate(each) for each in environments):
            result.append((normalised(requirement.name), frozenset(requirement.extras)))
    return result


def installed(name: str) -> metadata.Distribution | None:
    """A distribution; None where it is not installed."""
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None


def closure(
    root: metadata.Distribution, extras: frozenset[str]
) -> dict[str, tuple[metadata.Distribution, set[str]]]:
    """All that a distribution needs, directly or not: each by name, with the names of what it needs itself."""
    found: dict[str, tuple[metadata.Distribution, set[str]]] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = deque([(normalised(root.name), extras)])
    while waiting:
        name, wanted = waiting.popleft()
        distribution = installed(name)
        if distribution is None or (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        children = [child for child in needed(distribution, wanted) if installed(child[0]) is not None]
        found.setdefault(name, (distribution, set()))[1].update(child for child, _ in children if child != name)
        waiting.extend(children)
    return found


def model(version: str) -> Json:
    """The embedded model, by the digest of its weights."""
    weights = resources.files("ser_agent").joinpath("model/model.safetensors").read_bytes()
    digest = hashlib.sha256(weights).hexdigest()
    return {
        "type": "machine-learning-model",
        "bom-ref": f"urn:ser-agent:model:{digest}",
        "name": "ser-agent-embedded-model",
        "version": version,
        "hashes": [{"alg": "SHA-256", "content": digest}],
    }


def bill(name: str = DISTRIBUTION) -> Json:
    """The whole bill. What only an extra needs is optional."""
    root = metadata.distribution(name)
    required = closure(root, frozenset())
    everything = closure(root, frozenset(root.metadata.get_all("Provides-Extra") or ()))
    own = normalised(name)
    others = sorted(everything.keys() - {own})
    components = [
        component(everything[other][0], "library", "required" if other in required else "optional")
        for other in others
    ]
    weights = model(root.version)
    needs = {
        name: {purl(everything[child][0]) for child in children} for name, (_, children) in everything.items()
    }
    needs[own].add(weights["bom-ref"])
    dependencies = [
        {"ref": purl(everything[name][0]), "dependsOn": sorted(refs)} for name, refs in sorted(needs.items())
    ]
    moment = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH") or datetime.now(UTC).timestamp()), UTC)
    content: Json = {
        "components": [*components, weights],
        "dependencies": [*dependencies, {"ref": weights["bom-ref"], "dependsOn": []}],
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps([purl(root), content], sort_keys=True))
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{SPEC_VERSION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": SPEC_VERSION,
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "timestamp": moment.isoformat().replace("+00:00", "Z"),
            "component": component(root, "application"),
        },
        **content,
    }


def main() -> int:
    """Write the bill to a file, or to standard output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", nargs="?", type=Path, help="file to write (default: standard output)")
    args = parser.parse_args()
    text = json.dumps(bill(), indent=2, ensure_ascii=False) + "\n"
    if args.output is None:
        sys.stdout.write(text)
    else:
        args.output.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
