"""How often each clip is drawn."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from training.corpora.clips import Clip


def sampling_weights(clips: Iterable[Clip], shares: Mapping[str, float] | None = None) -> list[float]:
    """Weigh clips so that within each corpus its labels are drawn equally often.

    Args:
        clips: to draw from.
        shares: how often each corpus is drawn, relative to the others; 1 where nothing is said.

    Returns:
        One weight for each clip; they sum to 1.
    """
    keys = [(clip.corpus, clip.emotion) for clip in clips]
    counts = Counter(keys)
    labels_of = Counter(corpus for corpus, _ in counts)
    share_of = {corpus: (shares or {}).get(corpus, 1.0) for corpus in labels_of}
    total = sum(share_of.values())
    return [share_of[key[0]] / (total * labels_of[key[0]] * counts[key]) for key in keys]
