"""Makes the bundled conversation, ``ser_agent/samples``, and the clips of ``tests/data``.

    python -m benchmarks.make_conversation

Two clips of each of CREMA-D's six emotions, each by another ``dev`` speaker (never trained on), drawn by
a seeded generator and not by what the classifier makes of them; pauses of 1 to 2 s; dishes, a barking dog and
birds from recordings whose licences allow it. The truth goes beside it as JSON.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from benchmarks.corpora import CORPORA, SpeechClip, read, speech_clips
from ser_agent.audio import FULL_SCALE, SAMPLE_RATE, float_from_pcm16

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEED = 20261124
ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "ser_agent" / "samples"
TEST_DATA = ROOT / "tests" / "data"
EMOTIONS = ("angry", "disgust", "fear", "happy", "neutral", "sad")
ROUNDS = 2
UNHEARD = frozenset({"1061_IEO_ANG_HI"})
"""Not to be drawn: a shout that Silero does not take for speech. How many such clips there are,
``benchmarks/vad.py`` tells; in a conversation that shows an event for every sentence, it would only puzzle."""
SPEECH_DBFS = -22.0
PAUSES_S = (1.0, 2.0)
LEAD_S = 1.5
BIRDS = ("noise/blanket/chirping-birds/birds.opus", -58.0)
NOISES = {
    3: ("noise/speech-commands/dishes/doing_the_dishes.opus", -34.0, 3.5),
    8: ("noise/esc10/dog/1-100032-A.opus", -30.0, 2.5),
}
"""After which clip, counted from 1, which noise stands between: level in dBFS and length in seconds."""


def main() -> None:
    """Make the conversation, its truth and the test clips."""
    rng = np.random.default_rng(SEED)
    clips = chosen_clips(rng)
    parts: list[NDArray[np.float32]] = [silence(LEAD_S)]
    truth = []
    for number, clip in enumerate(clips, start=1):
        sound = at_level(trimmed(float_from_pcm16(read(clip.path))), SPEECH_DBFS)
        start_s = sum(map(len, parts)) / SAMPLE_RATE
        truth.append(
            {
                "start_s": round(start_s, 3),
                "end_s": round(start_s + len(sound) / SAMPLE_RATE, 3),
                "emotion": clip.emotion,
                "speaker": clip.speaker,
                "clip": clip.path.stem,
            }
        )
        parts += [sound, silence(rng.uniform(*PAUSES_S))]
        if number in NOISES:
            name, dbfs, seconds = NOISES[number]
            parts += [at_level(faded(noise(name, seconds)), dbfs), silence(1.0)]
    speech = np.concatenate(parts)
    birds = float_from_pcm16(read(CORPORA / BIRDS[0]))
    mixed = speech + np.resize(at_level(birds, BIRDS[1]), len(speech))
    SAMPLES.mkdir(exist_ok=True)
    soundfile.write(SAMPLES / "conversation.ogg", mixed, SAMPLE_RATE, format="OGG", subtype="OPUS")
    text = json.dumps({"utterances": truth}, indent=2) + "\n"
    (SAMPLES / "conversation.json").write_text(text, encoding="utf-8")
    for clip in clips[: len(EMOTIONS)]:
        (TEST_DATA / clip.path.name).write_bytes(clip.path.read_bytes())
    print(f"{len(mixed) / SAMPLE_RATE:.1f} s, {len(truth)} utterances, peak {np.abs(mixed).max():.2f}")


def chosen_clips(rng: np.random.Generator) -> list[SpeechClip]:
    """Two rounds of the six emotions, each clip by another speaker."""
    every = [clip for clip in speech_clips("dev") if clip.corpus == "crema-d"]
    candidates = [clip for clip in every if clip.path.stem not in UNHEARD]
    chosen: list[SpeechClip] = []
    for _ in range(ROUNDS):
        for emotion in rng.permutation(EMOTIONS):
            taken = {clip.speaker for clip in chosen}
            free = [clip for clip in candidates if clip.emotion == emotion and clip.speaker not in taken]
            chosen.append(free[int(rng.integers(len(free)))])
    return chosen


def noise(name: str, seconds: float) -> NDArray[np.float32]:
    """The first so many seconds of a noise."""
    return float_from_pcm16(read(CORPORA / name)[: round(seconds * SAMPLE_RATE)])


def trimmed(sound: NDArray[np.float32], floor_db: float = -40.0, keep_s: float = 0.1) -> NDArray[np.float32]:
    """Without the silence at the ends: what lies so far below the loudest 20 ms."""
    size = SAMPLE_RATE // 50
    frames = sound[: len(sound) // size * size].reshape(-1, size)
    power = np.mean(np.square(frames), axis=1)
    loud = np.flatnonzero(power > power.max() * 10 ** (floor_db / 10))
    keep = round(keep_s * SAMPLE_RATE)
    return faded(sound[max(0, loud[0] * size - keep) : (loud[-1] + 1) * size + keep])


def at_level(sound: NDArray[np.float32], dbfs: float) -> NDArray[np.float32]:
    """Scaled to a level, but never beyond full scale."""
    level = np.sqrt(np.mean(np.square(sound)))
    gain = min(10 ** (dbfs / 20) / level, (1 - 1 / FULL_SCALE) / np.abs(sound).max())
    return np.asarray(sound * np.float32(gain), dtype=np.float32)


def faded(sound: NDArray[np.float32], seconds: float = 0.02) -> NDArray[np.float32]:
    """With its ends faded, so that nothing clicks."""
    ramp = np.linspace(0, 1, round(seconds * SAMPLE_RATE), dtype=np.float32)
    result = sound.copy()
    result[: len(ramp)] *= ramp
    result[-len(ramp) :] *= ramp[::-1]
    return result


def silence(seconds: float) -> NDArray[np.float32]:
    """No sound."""
    return np.zeros(round(seconds * SAMPLE_RATE), dtype=np.float32)


if __name__ == "__main__":
    main()
