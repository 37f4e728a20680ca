"""The vocabulary of emotions, and the many names that checkpoints give them."""

from __future__ import annotations

from enum import StrEnum


class Emotion(StrEnum):
    """What a voice can sound like, as it goes over the wire."""

    ANGRY = "angry"
    CALM = "calm"
    DISGUST = "disgust"
    FEAR = "fear"
    HAPPY = "happy"
    NEUTRAL = "neutral"
    SAD = "sad"
    SURPRISE = "surprise"


UNCERTAIN = "uncertain"
"""Stands for the emotion of an utterance whose best confidence is under the configured threshold."""

EMOJI = {
    Emotion.ANGRY: "😠",
    Emotion.CALM: "😌",
    Emotion.DISGUST: "🤢",
    Emotion.FEAR: "😨",
    Emotion.HAPPY: "😊",
    Emotion.NEUTRAL: "😐",
    Emotion.SAD: "😢",
    Emotion.SURPRISE: "😲",
    UNCERTAIN: "🤔",
}

_ALIASES = {
    Emotion.ANGRY: ("ang", "anger", "angry", "生气", "wut", "ärger", "colère", "rabia", "rabbia"),
    Emotion.CALM: ("cal", "calm", "calmness", "平静"),
    Emotion.DISGUST: ("dis", "disgust", "disgusted", "厌恶", "ekel"),
    Emotion.FEAR: ("fea", "fear", "fearful", "scared", "anxious", "恐惧", "angst"),
    Emotion.HAPPY: ("hap", "happy", "happiness", "joy", "joyful", "开心", "高兴", "freude"),
    Emotion.NEUTRAL: ("neu", "neutral", "neutrality", "中立", "中性"),
    Emotion.SAD: ("sad", "sadness", "难过", "悲伤", "trauer"),
    Emotion.SURPRISE: ("sur", "surprise", "surprised", "ps", "pleasant surprise", "惊讶", "吃惊"),
}
_BY_NAME = {name: emotion for emotion, names in _ALIASES.items() for name in names}


def canonical_label(name: str) -> Emotion | None:
    """Find the emotion that a checkpoint's label means.

    Case and surrounding blanks don't matter; of a bilingual label such as ``生气/angry`` either half will do.

    Args:
        name: the label as the checkpoint has it.

    Returns:
        The emotion, or None where no alias is known.
    """
    plain = name.strip().lower().replace("_", " ")
    for part in (plain, *plain.split("/")):
        if emotion := _BY_NAME.get(part.strip()):
            return emotion
    return None
