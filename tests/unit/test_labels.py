"""One vocabulary for the labels of all checkpoints."""

from __future__ import annotations

import pytest

from ser_agent.labels import EMOJI, UNCERTAIN, Emotion, canonical_label

CHECKPOINTS = {
    "superb/wav2vec2-base-superb-er": {"neu": "neutral", "hap": "happy", "ang": "angry", "sad": "sad"},
    "ehcalabres/wav2vec2-lg-xlsr-en-speech-emotion-recognition": {"fearful": "fear", "surprised": "surprise"},
    "harshit345/xlsr-wav2vec-speech-emotion-recognition": {
        "anger": "angry",
        "disgust": "disgust",
        "fear": "fear",
        "happiness": "happy",
        "sadness": "sad",
    },
    "firdhokk/speech-emotion-recognition-with-openai-whisper-large-v3": {
        "Angry": "angry",
        "Disgusted": "disgust",
        "Fearful": "fear",
        "Happy": "happy",
        "Neutral": "neutral",
        "Sad": "sad",
        "Surprised": "surprise",
    },
    "emotion2vec_plus": {
        "生气/angry": "angry",
        "厌恶/disgusted": "disgust",
        "恐惧/fearful": "fear",
        "开心/happy": "happy",
        "中立/neutral": "neutral",
        "难过/sad": "sad",
        "吃惊/surprised": "surprise",
    },
    "made from TESS": {"pleasant_surprise": "surprise", "ps": "surprise"},
}


@pytest.mark.parametrize("emotion", Emotion)
def test_a_word_of_the_vocabulary_means_itself(emotion: Emotion) -> None:
    assert canonical_label(emotion.value) is emotion


@pytest.mark.parametrize(
    ("label", "emotion"), [pair for labels in CHECKPOINTS.values() for pair in labels.items()]
)
def test_the_labels_of_known_checkpoints_are_understood(label: str, emotion: str) -> None:
    assert canonical_label(label) == Emotion(emotion)


@pytest.mark.parametrize("label", [" ANGRY ", "Angry", "angry\n"])
def test_case_and_blanks_do_not_matter(label: str) -> None:
    assert canonical_label(label) is Emotion.ANGRY


@pytest.mark.parametrize(
    "label", ["", "LABEL_0", "frustrated", "other", "<unk>", "arousal", "其他/other", "an/gry"]
)
def test_what_is_no_emotion_of_the_vocabulary_is_not_guessed(label: str) -> None:
    assert canonical_label(label) is None


def test_every_emotion_and_uncertainty_has_its_own_emoji() -> None:
    assert set(EMOJI) == {*Emotion, UNCERTAIN}
    assert len(set(EMOJI.values())) == len(EMOJI)
