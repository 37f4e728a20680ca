"""The speakers' sexes, as the corpora's makers published them (``sexes.csv``).

CREMA-D's are from its ``VideoDemographics.csv`` (Open Database License 1.0), nEMO's from its ``data.tsv``
(CC BY-NC-SA 4.0); RAVDESS's actors with odd numbers are men.
"""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@cache
def sexes() -> Mapping[tuple[str, str], str]:
    """Give ``F`` or ``M`` by corpus and speaker; those that are not in it are not known."""
    with (Path(__file__).parent / "sexes.csv").open(encoding="utf-8", newline="") as file:
        return {(row["corpus"], row["speaker"]): row["sex"] for row in csv.DictReader(file)}
