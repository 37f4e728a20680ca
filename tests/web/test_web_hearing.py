"""What the page says of a recording, and what it says that it can't tell."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ser_agent.audio import SAMPLE_RATE, Samples, Utterance
from ser_agent.audio_files import read_utterance
from ser_agent.config import load
from ser_agent.errors import ModelError
from ser_agent.ports import NON_SPEECH
from ser_agent.testing import tone
from ser_agent.web.hearing import Ear, Part, background, judge, summed_up

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ser_agent.ports import Answer

DATA = Path(__file__).parents[1] / "data"
CLEAR: Answer = {"happy": 0.8, "neutral": 0.15, "sad": 0.05}
RNG = np.random.default_rng(3)


def pause(duration_s: float) -> Samples:
    return np.zeros(round(duration_s * SAMPLE_RATE), np.int16)


def said(samples: Samples, offset: int = 0) -> Utterance:
    return Utterance(samples, offset, "silence", captured_at=0.0, closed_at=0.0)


def part(start_s: float, end_s: float, answer: Answer, threshold: float = 0.4) -> Part:
    samples = tone(end_s - start_s)
    return judge(said(samples, round(start_s * SAMPLE_RATE)), answer, threshold, None)


@pytest.mark.parametrize(
    ("samples", "background_dbfs", "reasons"),
    [
        (tone(2.0), None, ()),
        (tone(2.0), -60.0, ()),
        (tone(0.6), None, ("reason_short",)),
        (tone(2.0, amplitude=0.003), None, ("reason_quiet",)),
        (tone(2.0, amplitude=0.1), -30.0, ("reason_noisy",)),
        (
            np.clip(tone(2.0, amplitude=0.9).astype(int) * 3, -32768, 32767).astype(np.int16),
            None,
            ("reason_clipped",),
        ),
    ],
    ids=["clear", "clear beside silence", "short", "quiet", "noisy", "clipped"],
)
def test_what_makes_an_answer_doubtful_is_said(
    samples: Samples, background_dbfs: float | None, reasons: tuple[str, ...]
) -> None:
    found = judge(said(samples), CLEAR, 0.4, background_dbfs)
    assert found.emotion == "happy"
    assert found.reasons == reasons


def test_two_emotions_that_are_about_as_likely_are_said_to_be() -> None:
    assert part(0, 2, {"happy": 0.46, "neutral": 0.44, "sad": 0.1}).reasons == ("reason_close",)


def test_an_uncertain_emotion_always_has_a_reason() -> None:
    found = part(0, 2, {"happy": 0.38, "neutral": 0.2, "sad": 0.2, "fear": 0.22})
    assert found.emotion == "uncertain"
    assert found.reasons == ("reason_spread",)


def test_what_is_no_speech_has_neither_emotion_nor_scores() -> None:
    found = part(0, 2, NON_SPEECH)
    assert (found.emotion, found.scores, found.reasons) == (None, (), ("reason_non_speech",))


def test_long_utterances_count_more_than_short_ones() -> None:
    parts = (part(0, 3, {"happy": 0.9, "sad": 0.1}), part(4, 5, {"happy": 0.1, "sad": 0.9}))
    report = summed_up(pause(6), parts, "model@1", 0.4)
    assert report.emotion == "happy"
    assert report.scores[0].score == pytest.approx(0.7)
    assert report.reasons == ("reason_mixed",)


@pytest.mark.parametrize(
    ("samples", "parts", "reason"),
    [
        (pause(2), (), "reason_silent"),
        (tone(2.0), (), "reason_no_speech"),
        (tone(2.0), (part(0, 2, NON_SPEECH),), "reason_non_speech"),
    ],
)
def test_where_nobody_spoke_it_is_said_what_there_was_instead(
    samples: Samples, parts: tuple[Part, ...], reason: str
) -> None:
    report = summed_up(samples, parts, "model@1", 0.4)
    assert report.emotion is None
    assert report.reasons == (reason,)


def test_the_background_is_what_is_beside_the_speech() -> None:
    hiss = RNG.normal(0, 300, 2 * SAMPLE_RATE).astype(np.int16)
    sound = np.concatenate((hiss, tone(2.0)))
    level = background(sound, [said(tone(2.0), 2 * SAMPLE_RATE)])
    assert level == pytest.approx(20 * np.log10(300 / 32768), abs=1)
    assert background(tone(2.0), [said(tone(2.0))]) is None


@pytest.fixture(scope="module")
def ear() -> Iterator[Ear]:
    """The default detector and the embedded model."""
    made = Ear(load())
    yield made
    made.close()


def test_two_sentences_are_found_and_each_has_an_emotion(ear: Ear) -> None:
    clips = [read_utterance(DATA / f"{name}.opus") for name in ("1031_IEO_SAD_LO", "1011_ITH_HAP_XX")]
    sound = np.concatenate((pause(1), clips[0], pause(1.2), clips[1], pause(1)))
    report = ear.hear(sound, "embedded")
    assert len(report.parts) == 2
    assert report.parts[0].end_s < 1 + len(clips[0]) / SAMPLE_RATE + 1.2 < report.parts[1].end_s
    assert report.model.startswith("embedded@")
    for each in report.parts:
        assert sum(score.score for score in each.scores) == pytest.approx(1, abs=1e-3)
        assert 0 <= each.start_s < each.end_s <= report.duration_s


def test_silence_is_told_as_silence(ear: Ear) -> None:
    report = ear.hear(pause(2), "embedded")
    assert report.parts == ()
    assert report.reasons == ("reason_silent",)


def test_the_models_to_choose_from_are_the_configured_ones_each_once() -> None:
    assert Ear(load()).models == ("embedded",)
    assert Ear(load(overrides=("web.models=[mine, embedded]",))).models == ("embedded", "mine")
    assert Ear(load(overrides=("classifier.model=mine", "web.models=[other]"))).models == (
        "mine",
        "embedded",
        "other",
    )


@pytest.mark.long
def test_a_model_that_cannot_be_had_is_told_and_is_not_in_the_way() -> None:
    made = Ear(load(overrides=("web.models=[/nowhere/at-all]",)))
    with pytest.raises(ModelError, match="/nowhere/at-all"):
        made.hear(tone(1.0), "/nowhere/at-all")
    assert made.hear(pause(1), "embedded").parts == ()
    made.close()
