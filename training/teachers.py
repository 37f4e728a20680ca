"""Teachers: heads on the frozen Whisper encoder that answer for speakers whom they never heard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from rich.progress import track
from scipy.special import softmax  # type: ignore[import-untyped]
from torch import nn

from ser_agent.audio import float_from_pcm16
from training.cache import Cache
from training.calibrate import fit_temperature
from training.corpora import LABELS, CorpusError, read_clips, sampling_weights
from training.corpora.manifest import PLAIN_SPEECH
from training.figures import uar
from training.network import soft_cross_entropy
from training.whisper import WhisperPooler

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from training.cache import Floats
    from training.corpora import Clip
    from training.settings import Settings, TeacherSettings

_MOST_SAMPLES = 30 * 16_000


class TeachersAnswers:
    """Reads what ``teach`` wrote.

    Args:
        path: of the file.

    Raises:
        FileNotFoundError: there is none.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise FileNotFoundError(f"{path}: run `python -m training teach` first")
        with np.load(path) as kept:
            self._answers = dict(zip(kept["paths"].tolist(), kept["answers"], strict=True))

    def of(self, clip: Clip) -> NDArray[np.float64] | None:
        """Give the probability of each of ``LABELS``, shape ``(7,)``; None where the teachers were not asked."""
        return self._answers.get(clip.path)


def teach(settings: Settings) -> None:
    """Train the teachers, out of fold by speaker, and keep what they hear in each clip of acted emotion.

    Noise and plain speech, whose labels are no matter of opinion, are left out.

    Raises:
        CorpusError: there are fewer than two speakers.
    """
    torch.set_num_threads(settings.threads)
    cache = Cache(settings.cache_folder)
    clips = cache.usable(
        clip
        for clip in read_clips(settings)
        if clip.part == "train" and clip.emotion in LABELS and clip.corpus != PLAIN_SPEECH
    )
    answers = out_of_fold(_features(settings, cache, clips), clips, settings)
    asked = np.array([clip.corpus in (settings.teachers.corpora or (clip.corpus,)) for clip in clips])
    paths = np.array([clip.path for clip in clips], dtype=np.str_)
    np.savez_compressed(settings.teachers_file, allow_pickle=False, paths=paths[asked], answers=answers[asked])
    truth, given = np.array([clip.label for clip in clips]), answers.argmax(axis=1)
    for corpus in sorted({clip.corpus for clip in clips}):
        rows = np.array([clip.corpus == corpus for clip in clips])
        print(f"teachers, {corpus}, speakers never heard: UAR {uar(truth[rows], given[rows]):.3f}", flush=True)


def _features(settings: Settings, cache: Cache, clips: Sequence[Clip]) -> Floats:
    """What the encoder makes of each whole clip: shape ``(clips, features)``; computed once."""
    path = settings.teachers_file.with_name("teachers-features.npz")
    names = np.array([clip.path for clip in clips], dtype=np.str_)
    if path.exists():
        with np.load(path) as kept:
            if np.array_equal(kept["names"], names):
                return np.asarray(kept["features"])
    pool = WhisperPooler(settings.teacher_folder)
    sounds = (float_from_pcm16(cache.whole(clip)[:_MOST_SAMPLES]) for clip in clips)
    features = np.stack([pool(sound) for sound in track(sounds, "Whisper", len(clips))])
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, allow_pickle=False, names=names, features=features)
    return features


def folds_of(clips: Sequence[Clip], folds: int) -> NDArray[np.int64]:
    """Divide clips by speaker, those of each corpus evenly: shape ``(clips,)``.

    Raises:
        CorpusError: there are fewer than two speakers.
    """
    speakers = sorted({(clip.corpus, clip.speaker) for clip in clips})
    if len(speakers) < 2:
        raise CorpusError(f"{len(speakers)} speaker in the train part: teachers need two at least")
    fold = {speaker: number % folds for number, speaker in enumerate(speakers)}
    return np.array([fold[clip.corpus, clip.speaker] for clip in clips])


def out_of_fold(features: Floats, clips: Sequence[Clip], settings: Settings) -> NDArray[np.float64]:
    """Answer for each clip by heads that never heard its speaker.

    Args:
        features: of the clips, shape ``(clips, features)``.
        clips: of acted emotion.
        settings: of the experiment.

    Returns:
        Calibrated probabilities among each clip's choices, shape ``(clips, 7)``.
    """
    goal = settings.teachers
    fold = folds_of(clips, goal.folds)
    logits = np.zeros((len(clips), len(LABELS)))
    for number in range(goal.folds):
        asked, heard = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
        if not len(asked):
            continue
        for member in range(goal.members):
            torch.manual_seed(settings.seed + 1000 * number + member)
            head = _fit(features[heard], [clips[row] for row in heard.tolist()], settings)
            with torch.inference_mode():
                logits[asked] += head(torch.from_numpy(features[asked])).double().numpy() / goal.members
        print(f"teachers: fold {number + 1} of {goal.folds}", flush=True)
    logits[~np.array([clip.allowed() for clip in clips])] = -np.inf
    return np.asarray(softmax(_calibrated(logits, clips), axis=1))


def _calibrated(logits: NDArray[np.float64], clips: Sequence[Clip]) -> NDArray[np.float64]:
    """Divide by a temperature for each corpus: strangers are heard the better the more others there were."""
    found = np.empty_like(logits)
    for corpus in {clip.corpus for clip in clips}:
        rows = np.array([row for row, clip in enumerate(clips) if clip.corpus == corpus])
        chosen = [clips[row] for row in rows.tolist()]
        labels, weights = np.array([clip.label for clip in chosen]), np.array(sampling_weights(chosen))
        found[rows] = logits[rows] / fit_temperature(logits[rows], labels, weights)
    return found


def _fit(features: Floats, clips: Sequence[Clip], settings: Settings) -> nn.Module:
    """Train one head; it standardises the features by their moments."""
    goal = settings.teachers
    inputs = torch.from_numpy(features)
    head = _head(inputs, goal)
    optimizer = torch.optim.AdamW(head.parameters(), lr=goal.learning_rate, weight_decay=goal.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, goal.steps)
    targets = torch.eye(len(LABELS))[[clip.label for clip in clips]]
    allowed = torch.tensor([clip.allowed() for clip in clips])
    targets = (1.0 - settings.label_smoothing) * targets + settings.label_smoothing * allowed / allowed.sum(
        1, keepdim=True
    )
    weights = torch.tensor(sampling_weights(clips, settings.shares))
    for _ in range(goal.steps):
        chosen = torch.multinomial(weights, goal.batch_size, replacement=True)
        loss = soft_cross_entropy(head(inputs[chosen]), targets[chosen], allowed[chosen])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return head.eval()


def _head(inputs: torch.Tensor, goal: TeacherSettings) -> nn.Sequential:
    standardise = nn.BatchNorm1d(inputs.shape[1], eps=1e-6, affine=False)
    standardise.running_mean = inputs.mean(0)
    standardise.running_var = inputs.var(0, correction=0)
    return nn.Sequential(
        standardise.eval(),
        nn.Dropout(goal.dropout),
        nn.Linear(inputs.shape[1], goal.hidden),
        nn.GELU(),
        nn.Dropout(goal.dropout),
        nn.Linear(goal.hidden, len(LABELS)),
    )
