"""Known advisories about installed packages: pip-audit judges, of what PyPI or a database on disk knows.

The database is a checkout of https://github.com/pypa/advisory-database: files in OSV's format
(https://ossf.github.io/osv-schema/), which are served to pip-audit as https://api.osv.dev would, on this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections import defaultdict
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import yaml
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Json: TypeAlias = dict[str, Any]

CLEAN, FOUND, UNKNOWN = 0, 1, 69
LOOPBACK = "127.0.0.1"
NO_PASS = "Nothing is known about these packages. This is no pass."  # noqa: S105 - no password
# Plain strings: 2.10 must not become 2.1, nor a time anything that JSON does not have.
LOADER: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


class DatabaseError(Exception):
    """A folder that is no database of advisories."""


def is_within(events: Sequence[Json], version: Version) -> bool:
    """Whether a version is within a range, as OSV's schema evaluates its events."""
    told = sorted((Version(bound), kind) for event in events for kind, bound in event.items() if kind != "limit")
    result = False
    for bound, kind in told:
        if kind == "introduced" and version >= bound:
            result = True
        elif (kind == "fixed" and version >= bound) or (kind == "last_affected" and version > bound):
            result = False
    return result


def concerns(affected: Json, version: Version) -> bool:
    """Whether a version is one of those that an advisory lists, or within its ranges.

    Raises:
        InvalidVersion: a bound of a range is none.
    """
    ranges = [entry["events"] for entry in affected.get("ranges", ()) if entry["type"] != "GIT"]
    return any(is_same(listed, version) for listed in affected.get("versions", ())) or any(
        is_within(events, version) for events in ranges
    )


def is_same(text: str, version: Version) -> bool:
    """Whether a text is that version; what is no version at all is none that is installed."""
    try:
        return Version(text) == version
    except InvalidVersion:
        return False


class Database:
    """Advisories by package.

    Attributes:
        count: how many there are.
        newest: when the latest was published, in ISO 8601.
    """

    def __init__(self, folder: Path) -> None:
        """Read all of a checkout.

        Raises:
            DatabaseError: there are none, or one cannot be read.
        """
        self._advisories: defaultdict[str, list[Json]] = defaultdict(list)
        self.count, self.newest = 0, ""
        for file in sorted(folder.glob("vulns/*/*.yaml")):
            try:
                self._add(yaml.load(file.read_text(encoding="utf-8"), Loader=LOADER))  # noqa: S506 - strings only
            except (OSError, ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError) as error:
                raise DatabaseError(f"{file} is no advisory: {error!r}") from error
        if not self.count:
            raise DatabaseError(f"{folder} has no advisories, which would be vulns/PACKAGE/ID.yaml")

    def _add(self, advisory: Json) -> None:
        self.newest = max(self.newest, str(advisory.get("published") or advisory["modified"]))
        packages = [affected["package"] for affected in advisory.get("affected", ())]
        for package in packages:
            package["name"] = canonicalize_name(package["name"])
        for name in {package["name"] for package in packages}:
            self._advisories[name].append(advisory)
        self.count += 1

    def about(self, name: str, version: Version) -> list[Json]:
        """Advisories about a version of a package, in OSV's format."""
        name, public = canonicalize_name(name), Version(version.public)  # 2.1.0+cpu is built of 2.1.0
        return [
            advisory
            for advisory in self._advisories.get(name, ())
            if any(
                affected["package"]["name"] == name and concerns(affected, public)
                for affected in advisory["affected"]
            )
        ]


@contextmanager
def served(database: Database) -> Iterator[list[str]]:
    """Answer OSV's queries from a database; yields the arguments that make pip-audit ask here."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found = database.about(query["package"]["name"], Version(query["version"]))
            body = json.dumps({"vulns": found} if found else {}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((LOOPBACK, 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield ["--vulnerability-service", "osv", "--osv-url", f"http://{LOOPBACK}:{server.server_port}/"]
        finally:
            server.shutdown()


def report_of(folders: Sequence[str], arguments: Sequence[str]) -> list[Json]:
    """What pip-audit says of each package in some folders; nothing where it could not tell."""
    environment = os.environ | {"NO_PROXY": LOOPBACK, "no_proxy": LOOPBACK, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    paths = [part for folder in folders for part in ("--path", folder)]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [sys.executable, "-m", "pip_audit", "--progress-spinner", "off", "--skip-editable", *paths]
        command += ["--format", "json", "--output", str(report), *arguments]
        patience_s = float(os.environ.get("AUDIT_TIMEOUT_S", "300"))
        try:
            subprocess.run(command, env=environment, timeout=patience_s, check=False)  # noqa: S603 - ours
            packages: list[Json] = json.loads(report.read_text(encoding="utf-8"))["dependencies"]
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            print(f"scripts/audit: there is no answer: {error}", file=sys.stderr)
            return []
    return packages


def tell(packages: Sequence[Json]) -> int:
    """Print what was found; returns the exit code."""
    checked = [package for package in packages if "skip_reason" not in package]
    found = 0
    for package in packages:
        if "skip_reason" in package:
            print(f"not checked: {package['name']}: {package['skip_reason']}")
        for advisory in package.get("vulns", ()):
            found += 1
            names = " ".join([advisory["id"], *advisory["aliases"]])
            fixed = ", ".join(advisory["fix_versions"])
            print(f"{package['name']} {package['version']}: {names}, fixed in {fixed or 'no version'}")
    print(f"{len(checked)} packages checked, {len(packages) - len(checked)} not; {found} advisories found")
    if not checked:
        print(f"scripts/audit: {NO_PASS}", file=sys.stderr)
        return UNKNOWN
    return FOUND if found else CLEAN


def main() -> int:
    """Ask, and tell; see ``scripts/audit``."""
    parser = argparse.ArgumentParser(prog="scripts/audit", description=__doc__, allow_abbrev=False)
    parser.add_argument("--database", type=Path, metavar="DIR", help="ask a checkout of PyPA's advisory database")
    parser.add_argument("--path", action="append", metavar="DIR", help="packages in it (default: this Python's)")
    known, more = parser.parse_known_args()
    folders = known.path or [sysconfig.get_path("purelib")]
    if known.database is None:
        return tell(report_of(folders, more))
    try:
        database = Database(known.database)
    except DatabaseError as error:
        print(f"scripts/audit: {error}\n{NO_PASS}", file=sys.stderr)
        return UNKNOWN
    with served(database) as service:
        code = tell(report_of(folders, [*service, *more]))
    print(f"of {database.count} advisories, the newest of {database.newest[:10]}: nothing later is known here")
    return code


if __name__ == "__main__":
    sys.exit(main())
