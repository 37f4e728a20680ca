"""The audit without a network: pip-audit judges of what a database of advisories on disk knows."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "audit.py"
ADVISORY = """
id: {id}
details: Made up.
affected:
- package:
    name: {name}
    ecosystem: PyPI
{affected}
aliases:
- CVE-0000-1
modified: 2031-02-03T00:00:00Z
{more}
"""
BEFORE = """  ranges:
  - type: GIT
    events:
    - introduced: '0'
  - type: ECOSYSTEM
    events:
    - introduced: '0'
    - fixed: {fixed}"""
PUBLISHED = "published: 2031-01-02T00:00:00Z"

pytestmark = pytest.mark.skipif(find_spec("pip_audit") is None, reason="pip-audit is not installed")


@dataclass(frozen=True, slots=True)
class Audit:
    """What a run of the script said.

    Attributes:
        code: its exit code.
        out: its standard output.
        err: its standard error.
    """

    code: int
    out: str
    err: str


def install(site: Path, name: str, version: str) -> None:
    """A package of which only the metadata is there."""
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "INSTALLER").write_text("pip\n")


def advise(database: Path, number: int, name: str, affected: str, more: str = PUBLISHED) -> Path:
    """Write an advisory about what is affected of a package."""
    file = database / "vulns" / name / f"PYSEC-0-{number}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(ADVISORY.format(id=file.stem, name=name, affected=affected, more=more))
    return file


def audit(site: Path, database: Path, *arguments: str) -> Audit:
    command = [sys.executable, str(SCRIPT), "--database", str(database), "--path", str(site), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return Audit(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    install(tmp_path / "site", "Odd_Package", "2.9")
    install(tmp_path / "site", "even", "2.10+cpu")
    return tmp_path / "site"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Two advisories: one about an older version of what is installed, one about something else."""
    advise(tmp_path / "database", 1, "even", BEFORE.format(fixed="2.10"))
    advise(tmp_path / "database", 2, "absent", BEFORE.format(fixed="9"))
    return tmp_path / "database"


def test_what_concerns_nothing_that_is_installed_is_a_pass_that_tells_its_age(site: Path, database: Path) -> None:
    said = audit(site, database)
    assert said.code == 0, said
    assert said.out.splitlines() == [
        "2 packages checked, 0 not; 0 advisories found",
        "of 2 advisories, the newest of 2031-01-02: nothing later is known here",
    ]


def test_what_concerns_an_installed_package_is_told_with_its_remedy(site: Path, database: Path) -> None:
    advise(database, 3, "odd-package", BEFORE.format(fixed="2.10"), more="")
    said = audit(site, database)
    assert said.code == 1, said
    assert said.out.splitlines() == [
        "odd-package 2.9: PYSEC-0-3 CVE-0000-1, fixed in 2.10",
        "2 packages checked, 0 not; 1 advisories found",
        "of 3 advisories, the newest of 2031-02-03: nothing later is known here",
    ]
    assert audit(site, database, "--ignore-vuln", "PYSEC-0-3").code == 0, "pip-audit's own options work"


def test_a_version_that_is_listed_without_a_range_is_found_and_what_was_withdrawn_is_not(
    site: Path, database: Path
) -> None:
    withdrawn = f"{PUBLISHED}\nwithdrawn: 2031-01-03T00:00:00Z"
    advise(database, 3, "odd-package", BEFORE.format(fixed="3"), more=withdrawn)
    advise(database, 4, "even", "  versions:\n  - unheard of\n  - 2.10")
    said = audit(site, database)
    assert said.code == 1, said
    assert said.out.splitlines()[:2] == [
        "even 2.10+cpu: PYSEC-0-4 CVE-0000-1, fixed in no version",
        "2 packages checked, 0 not; 1 advisories found",
    ]


def test_a_folder_without_advisories_or_with_a_broken_one_or_a_site_without_packages_is_no_pass(
    site: Path, database: Path, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    for said in (audit(site, tmp_path / "empty"), audit(tmp_path / "empty", database)):
        assert said.code == 69, said
        assert "This is no pass." in said.err
    advise(database, 5, "absent", "").write_text("- no\n- advisory\n")
    said = audit(site, database)
    assert said.code == 69, said
    assert "PYSEC-0-5.yaml is no advisory" in said.err


def test_where_pip_audit_gets_no_answer_nothing_is_passed(site: Path, database: Path) -> None:
    advise(database, 6, "even", BEFORE.format(fixed="no version"))
    said = audit(site, database)
    assert said.code == 69, said
    assert "This is no pass." in said.err
