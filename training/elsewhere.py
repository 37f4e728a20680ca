"""The same recipe with a smaller budget, judged on a corpus that it never heard, or on all of RAVDESS's actors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from ser_agent.audio import float_from_pcm16
from training.answers import read_config
from training.cache import Cache
from training.corpora import CORPUS_LABELS, CorpusError, read_clips
from training.export import calibration, write_checkpoint
from training.figures import figures
from training.finetune import compute_looks, learn
from training.network import load_model, predict_logits
from training.results import keep_result, load_results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from training.corpora import Clip
    from training.settings import Settings

FOLDED = "ravdess"
_NO_CLOCK = float("inf")


def abroad(settings: Settings, only: Sequence[str] = ()) -> None:
    """Train without a corpus, and judge on its ``dev`` speakers as the agent hears them; for each corpus in turn.

    The figures are kept under ``leave_one_out``.

    Args:
        settings: of the experiment.
        only: the corpora to leave out; all of acted emotion by default.

    Raises:
        CorpusError: one of them is not used.
    """
    acted = [corpus for corpus in settings.use if corpus in CORPUS_LABELS]
    if strangers := set(only) - set(acted):
        raise CorpusError(f"{', '.join(sorted(strangers))}: the experiment does not use it")
    work = _Elsewhere(settings)
    for corpus in only or acted:
        heard = [clip for clip in work.clips if clip.corpus != corpus and clip.part == "train"]
        judged = [clip for clip in work.clips if clip.corpus == corpus and clip.part == "dev"]
        answers = work.answers(f"without-{corpus}", corpus, heard, judged, trimmed=True)
        found = figures(answers.logits, judged, answers.calibrated)
        kept = load_results(settings).get("leave_one_out", {})
        keep_result(settings, "leave_one_out", kept | {corpus: {**found, "training": work.budget()}})
        print(f"without {corpus}: UAR {found['uar']:.3f}, ECE {found['ece_all_labels']:.3f}", flush=True)


def folds(settings: Settings) -> None:
    """Answer for each of RAVDESS's actors, on whole clips, by a training that never heard the actor.

    All other corpora's training speakers are learned from in each fold. The figures are kept under
    ``ravdess_folds``.

    Raises:
        CorpusError: RAVDESS is not used.
    """
    if FOLDED not in settings.use:
        raise CorpusError(f"{FOLDED}: the experiment does not use it")
    work = _Elsewhere(settings)
    actors = sorted({clip.speaker for clip in work.clips if clip.corpus == FOLDED})
    answers, judged = [], []
    for number in range(min(settings.elsewhere.folds, len(actors))):
        of_fold = set(actors[number :: settings.elsewhere.folds])
        heard = [
            clip
            for clip in work.clips
            if (clip.speaker not in of_fold if clip.corpus == FOLDED else clip.part == "train")
        ]
        asked = [clip for clip in work.clips if clip.corpus == FOLDED and clip.speaker in of_fold]
        answers.append(work.answers(f"fold-{number}", FOLDED, heard, asked, trimmed=False))
        judged += asked
    logits, calibrated = (np.concatenate(some) for some in zip(*answers, strict=True))
    found = figures(logits, judged, calibrated)
    keep_result(settings, "ravdess_folds", {**found, "training": work.budget()})
    print(f"{FOLDED}, {len(answers)} folds by actor: UAR {found['uar']:.3f}", flush=True)


class _Answers(NamedTuple):
    """Of one training to the clips that it is judged on: shape ``(clips, outputs)`` each."""

    logits: NDArray[np.float64]
    calibrated: NDArray[np.float64]


class _Elsewhere:
    """Several trainings of one budget, all from states of the same looks.

    Args:
        settings: of the experiment.

    Attributes:
        clips: all that can be learned from, or judged on.
    """

    def __init__(self, settings: Settings) -> None:
        torch.set_num_threads(settings.threads)
        goal = settings.elsewhere
        budget = {
            "looks": goal.looks,
            "frozen_layers": goal.frozen_layers,
            "steps": goal.steps,
            "learning_rate": goal.learning_rate,
            "head_learning_rate": goal.head_learning_rate,
            "minutes": _NO_CLOCK,
            "teacher": 0.0,
        }
        self._experiment = settings.name
        self._settings = settings.model_copy(
            update={
                "name": f"{settings.name}-elsewhere",
                "start_from": goal.start_from,
                "head": settings.head.model_copy(update={"keep": False}),
                "finetune": settings.finetune.model_copy(update=budget),
            }
        )
        self._cache = Cache(settings.cache_folder)
        self.clips = self._cache.usable(read_clips(settings))
        learnable = [clip for clip in self.clips if clip.part == "train" or clip.corpus == FOLDED]
        self._looks = compute_looks(self._settings, self._cache, learnable)

    def answers(
        self, name: str, corpus: str, heard: Sequence[Clip], judged: Sequence[Clip], *, trimmed: bool
    ) -> _Answers:
        """Train, calibrate on other corpora's held-out speakers, and answer.

        Args:
            name: of the training.
            corpus: whose held-out speakers do not calibrate it.
            heard: to learn from.
            judged: to answer.
            trimmed: whether these are cut as the agent does.
        """
        settings = self._settings.model_copy(
            update={
                "name": f"{self._settings.name}-{name}",
                "use": tuple(used for used in self._settings.use if used != corpus),
                "held_out": {other: who for other, who in self._settings.held_out.items() if other != corpus},
            }
        )
        learn(settings, heard, self._looks)
        folder = settings.run_folder / "checkpoint"
        model = load_model(settings.run_folder / "last")
        write_checkpoint(model, {"name": settings.name} | calibration(settings, model), folder)
        cut = self._cache.trimmed if trimmed else self._cache.whole
        logits = predict_logits(load_model(folder), [float_from_pcm16(cut(clip)) for clip in judged])
        return _Answers(logits, read_config(folder).calibrated(logits))

    def budget(self) -> dict[str, Any]:
        """Tell how much each training has cost, beside what the experiment says."""
        goal = self._settings.finetune
        return {
            "experiment": self._experiment,
            "start_from": self._settings.start_from.name,
            "looks": goal.looks,
            "frozen_layers": goal.frozen_layers,
            "steps": goal.steps,
            "learning_rate": goal.learning_rate,
            "batch_size": goal.batch_size,
        }
