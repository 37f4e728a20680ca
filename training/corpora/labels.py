"""The names that people give to emotions, and which of our labels each of them means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ser_agent.labels import Emotion, canonical_label
from training.corpora.clips import LABELS, MODEL_LABELS, NON_SPEECH, CorpusError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SYNONYMS: Final[Mapping[str, tuple[str, ...]]] = {
    "angry": ("ang", "anger", "angry", "mad", "rage"),
    "disgust": ("dis", "disgust", "disgusted"),
    "fear": ("fea", "fear", "fearful", "afraid", "anxious", "scared"),
    "happy": ("hap", "happy", "happiness", "joy", "joyful", "amused", "amusement"),
    "neutral": ("neu", "neutral", "neutrality", "calm", "calmness", "cal"),
    "sad": ("sad", "sadness"),
    "surprise": ("sur", "surprise", "surprised", "ps", "pleasant surprise"),
    NON_SPEECH: ("noise", "non speech", "nonspeech", "background"),
}
"""English names and codes by label. What ``ser_agent.labels`` knows besides, in other languages, is known too."""

SKIP: Final = "skip"
"""A class that is mapped to this is left out."""

_BY_NAME: Final = {name: label for label, names in SYNONYMS.items() for name in names}


def label_of(name: str, mapping: Mapping[str, str]) -> str | None:
    """Find which label a class means.

    Case does not matter; hyphens and underscores count as blanks.

    Args:
        name: of the class.
        mapping: what the user has decided, by name; it comes first.

    Returns:
        One of ``MODEL_LABELS``, or ``SKIP``; None where the name is not known.
    """
    plain = _plain(name)
    for given, label in mapping.items():
        if _plain(given) == plain:
            return label
    if plain in _BY_NAME:
        return _BY_NAME[plain]
    emotion = canonical_label(plain)
    if emotion is Emotion.CALM:
        return str(Emotion.NEUTRAL)
    return None if emotion is None else str(emotion)


def what_is_known() -> str:
    """List all names, for a message."""
    return "; ".join(f"{label}: {', '.join(names)}" for label, names in SYNONYMS.items())


def read_mapping(texts: Sequence[str]) -> dict[str, str]:
    """Read what the user maps: ``bored=neutral``, or ``bored=skip``.

    Raises:
        CorpusError: a text is not of that form, or maps to what is no label.
    """
    mapping: dict[str, str] = {}
    for text in texts:
        name, equals, label = (part.strip() for part in text.partition("="))
        if not name or not equals:
            raise CorpusError(f"--map {text}: is not of the form NAME=LABEL, such as bored=neutral")
        mapping[name] = label
    check_mapping(mapping, "--map")
    return mapping


def check_mapping(mapping: Mapping[str, str], where: str) -> None:
    """Check that names are mapped to labels.

    Args:
        mapping: labels by name.
        where: it was given, for the message.

    Raises:
        CorpusError: one is mapped to what is no label.
    """
    for name, label in mapping.items():
        if label not in (*MODEL_LABELS, SKIP):
            raise CorpusError(
                f"{where}: {name!r} is mapped to {label!r}, which is none of {', '.join(LABELS)}, {NON_SPEECH}, "
                f"nor {SKIP} (to leave it out)"
            )


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())
