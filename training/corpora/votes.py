"""What listeners heard in CREMA-D's clips, beside what the actors were asked for."""

from __future__ import annotations

import csv
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

import numpy as np

from training.corpora.clips import LABELS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from training.corpora.clips import Clip

_CORPUS: Final = "crema-d"


class CrowdVotes:
    """The votes of those who heard the voice without the picture (``crema-d/votes.csv``).

    Args:
        folder: of the corpora.

    Raises:
        OSError: the votes are not there.
    """

    def __init__(self, folder: Path) -> None:
        with (folder / _CORPUS / "votes.csv").open(encoding="utf-8", newline="") as file:
            self._votes = {
                row["clip"]: np.array([int(row.get(label) or 0) for label in LABELS])
                for row in csv.DictReader(file)
            }

    def of(self, clip: Clip) -> NDArray[np.float64] | None:
        """Give the share of listeners who chose each emotion.

        Returns:
            Shape ``(7,)``, in the order of ``LABELS``, summing to 1; None where nobody was asked.
        """
        votes = self._votes.get(PurePosixPath(clip.path).stem) if clip.corpus == _CORPUS else None
        if votes is None or votes.sum() == 0:
            return None
        return np.asarray(votes / votes.sum(), dtype=np.float64)
