"""The main job on emotional speech of three corpora and two languages, by speakers that no model learned from."""

from __future__ import annotations

import csv
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
from support.agent import AgentProcess
from support.mqtt import wait_until

from ser_agent.app import Workshop
from ser_agent.audio import SAMPLE_RATE, Samples, Utterance
from ser_agent.audio_files import read_utterance
from ser_agent.config import load
from ser_agent.endpointing import Endpointer
from ser_agent.labels import Emotion
from ser_agent.segmenter import Segmenter
from ser_agent.testing import frames_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.mqtt import Listener, Mosquitto
    from support.pulse import PulseServer

pytestmark = [
    pytest.mark.corpora,
    pytest.mark.pulse,
    pytest.mark.broker,
    pytest.mark.model,
    pytest.mark.timeout(300),
]

SEED = 7
CLIPS = {"crema-d": 6, "ravdess": 2, "nemo": 2}
LONGEST_S = {"crema-d": 2.2, "ravdess": 3.5, "nemo": 2.2}
"""Short ones, for the test plays in real time; RAVDESS's begin and end with a second of silence each."""
PAUSE_S = 1.2
PHASES = (0, 171, 342)
"""Where in the hops of 512 samples the sound begins when it is captured, nobody knows."""


def drawn(corpora: Path, rng: np.random.Generator) -> list[Path]:
    """Clips that are not neutral, each by another speaker, in an order that mixes the corpora."""
    with (corpora / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "dev" and row["emotion"] != "neutral"]
    chosen: dict[tuple[str, str], Path] = {}
    for number in rng.permutation(len(rows)):
        row = rows[number]
        speaker = (row["corpus"], row["speaker"])
        room = sum(corpus == row["corpus"] for corpus, _ in chosen) < CLIPS[row["corpus"]]
        if room and speaker not in chosen and float(row["duration"]) <= LONGEST_S[row["corpus"]]:
            chosen[speaker] = corpora / row["path"]
    assert len(chosen) == sum(CLIPS.values())
    return list(chosen.values())


def endpointed(sound: Samples) -> list[Utterance]:
    """The utterances that the default detector and segmenter find in it."""
    loaded = load()
    config = loaded.config
    endpointer = Endpointer(Workshop(loaded).detector(), Segmenter(config.segmenter, config.vad.threshold))

    def outputs() -> Iterator[object]:
        for frame in frames_of(sound, 1600):
            yield from endpointer.feed(frame)
        yield from endpointer.finish("end_of_stream")

    return [output for output in outputs() if isinstance(output, Utterance)]


def spoken(clips: list[Path]) -> Samples:
    """The clips with pauses before, between and behind them."""
    pause = np.zeros(round(PAUSE_S * SAMPLE_RATE), dtype=np.int16)
    return np.concatenate([pause, *(part for clip in clips for part in (read_utterance(clip), pause))])


def sound_and_its_utterances(corpora: Path) -> tuple[Samples, list[Utterance]]:
    """Drawn speech, and what must be heard in it.

    A clip may hold a pause that is just as long as the hangover, and then it depends on where its hops begin
    whether it is one utterance or two: such a draw says nothing about the agent, and the next one is taken.
    """
    rng = np.random.default_rng(SEED)
    while True:
        sound = spoken(drawn(corpora, rng))
        found = [endpointed(np.concatenate((np.zeros(phase, dtype=np.int16), sound))) for phase in PHASES]
        if all(alike(found[0], other) for other in found[1:]):
            return sound, found[0]


def alike(some: list[Utterance], others: list[Utterance]) -> bool:
    """Whether they are as many, and about as long."""
    return len(some) == len(others) and all(
        abs(one.duration_s - other.duration_s) < 0.1 for one, other in zip(some, others, strict=True)
    )


def test_each_utterance_into_the_microphone_comes_out_of_the_broker_as_one_event_in_order(
    corpora: Path, pulse: PulseServer, broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    sound, expected = sound_and_its_utterances(corpora)
    assert len(expected) >= sum(CLIPS.values()) - 1  # Silero does not hear every shout
    soundfile.write(tmp_path / "spoken.wav", sound, SAMPLE_RATE)
    config = {"site": "attic", "sinks": [{"type": "mqtt", "port": broker.port}]}
    with AgentProcess(tmp_path, config) as agent:
        agent.wait_for("READY=1", patience_s=120)
        pulse.play(tmp_path / "spoken.wav")
        wait_until(lambda: len(listener.event_ids()) >= len(expected), f"events come:\n{agent.log}", 60)
        assert agent.stop() == 0, agent.log
    listener.catch_up()
    events: list[dict[str, Any]] = [heard.fields for heard in listener.on("attic/event")]
    assert [event["id"] for event in events] == listener.event_ids()
    assert len(events) == len(expected), agent.log
    starts = [event["offset_s"] for event in events]
    assert starts == sorted(starts)
    gaps = np.diff(starts) - np.diff([utterance.start_s for utterance in expected])
    assert np.abs(gaps).max() < 0.25
    for event, utterance in zip(events, expected, strict=True):
        assert event["duration_s"] == pytest.approx(utterance.duration_s, abs=0.25)
        assert event["end_reason"] == "silence"
        check_scores(event["emotions"])
        assert event["emotion"] in {event["emotions"][0]["label"], "uncertain"}


def check_scores(emotions: list[dict[str, Any]]) -> None:
    """The best three of a distribution, in falling order."""
    scores = [emotion["score"] for emotion in emotions]
    assert len(scores) == 3
    assert all(early >= late for early, late in itertools.pairwise([1.0, *scores, 0.0]))
    assert sum(scores) <= 1.0 + 1e-3
    labels = {emotion["label"] for emotion in emotions}
    assert len(labels) == 3
    assert labels <= {str(emotion) for emotion in Emotion}
