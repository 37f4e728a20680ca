"""All figures of a checkpoint, from its kept logits and what its ``config.json`` has the agent do with them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from training.answers import is_rejected, read_config
from training.conditions import (
    CLIP_CONDITIONS,
    DISTURBED,
    dev_clips,
    judged_noises,
    plain_recordings,
    recording_of,
)
from training.corpora import CORPUS_LABELS, LABELS
from training.events import plain_speech, selective, share, with_event
from training.figures import figures, uar
from training.groups import by_language, by_sex, by_speaker, losses
from training.predictions import about_checkpoint, digest_of, load_predictions
from training.splits import is_dev_noise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from training.answers import Reading
    from training.corpora import Clip
    from training.figures import Figures
    from training.predictions import Predictions
    from training.settings import Settings


def judge_checkpoint(settings: Settings) -> dict[str, Any]:
    """Compute every figure of what ``predict`` kept.

    Returns:
        Plain data for the file of results.

    Raises:
        FileNotFoundError: nothing, or not everything, was classified yet.
        ValueError: the checkpoint is another one by now.
    """
    about = about_checkpoint(settings.predictions_folder)
    folder = Path(about.pop("folder"))
    if digest_of(folder) != about["digest"]:
        raise ValueError(f"{folder}: has changed since it was judged; run `python -m training evaluate` again")
    judge = _Judge(settings, read_config(folder))
    return about | {
        "temperature": judge.reading.metadata.calibration.temperature,
        "reading": judge.reading.metadata.model_dump(mode="json"),
        "figures": {condition: judge.by_corpus(condition) for condition in CLIP_CONDITIONS},
        **judge.groups(),
        "disturbed": judge.disturbed(),
        **judge.events(),
    }


class _Judge:
    def __init__(self, settings: Settings, reading: Reading) -> None:
        self.reading = reading
        self._folder = settings.predictions_folder
        self._corpora = settings.corpora_folder
        self._clips = {clip.path: clip for clip in dev_clips(settings)}

    def by_corpus(self, condition: str) -> dict[str, Figures]:
        kept, clips = self._kept(condition)
        parts = {name: [row for row, clip in enumerate(clips) if clip.corpus == name] for name in CORPUS_LABELS}
        return {name: self._figures(kept, clips, rows) for name, rows in parts.items() if rows}

    def groups(self) -> dict[str, Any]:
        """Figures of all clips together and of parts of them, as the agent hears them."""
        kept, clips = self._kept("trimmed")
        answers = self.reading.calibrated(kept.logits)
        return {
            "pooled": self._figures(kept, clips, range(len(clips))),
            "languages": by_language(answers, clips),
            "sexes": by_sex(answers, clips),
            "speakers": by_speaker(answers, clips),
            "selective": selective(answers, clips, self.reading.uncertain_below),
        }

    def disturbed(self) -> dict[str, Any]:
        """What noise and rooms cost."""
        kept, _ = self._kept("trimmed")
        row_of = {path: row for row, path in enumerate(kept.ids)}
        found = {}
        for condition in DISTURBED:
            disturbed, clips = self._kept(condition)
            rows = [row_of[path] for path in disturbed.ids]
            before = self.reading.calibrated(kept.logits[rows])
            found[condition] = losses(before, self.reading.calibrated(disturbed.logits), clips)
        return found

    def events(self) -> dict[str, Any]:
        """What reaches the home."""
        return {"home": self._home(), "plain": self._plain(), "noise": self._noise(), "shouts": self._shouts()}

    def _home(self) -> dict[str, Any]:
        """What the prior of homes does to the corpora's clips, whose emotions are about equally frequent."""
        kept, clips = self._kept("trimmed")
        truth = np.array([clip.label for clip in clips])
        found: dict[str, Any] = {}
        for name, answers in self._both(kept).items():
            given = answers.argmax(axis=1)
            found[name] = {
                "uar_all_labels": uar(truth, given),
                "accuracy_all_labels": float(np.mean(truth == given)),
                "called_neutral": float(np.mean(given == LABELS.index("neutral"))),
                "at_threshold": selective(answers, clips, self.reading.uncertain_below)["at_threshold"],
            }
        return found

    def _plain(self) -> dict[str, Any]:
        kept = load_predictions(self._folder, "plain")
        readers = plain_recordings(self._corpora)
        return {
            name: plain_speech(answers, kept, readers, self.reading.uncertain_below)
            for name, answers in self._both(kept).items()
        }

    def _noise(self) -> dict[str, Any]:
        """Noises of classes that may be trained on (``trained``) and of the others (``dev``)."""
        pieces, utterances = (load_predictions(self._folder, name) for name in ("noise", "noise-utterances"))
        class_of = judged_noises(self._corpora)
        answers = self.reading.at_home(utterances.logits)
        heard = np.isin(utterances.recordings, [recording_of(sound) for sound in utterances.ids])
        event = with_event(utterances.recordings, answers, utterances.ids)
        kinds = np.array([class_of[recording] for recording in utterances.recordings])
        kinds_of_pieces = np.array([class_of[recording_of(sound)] for sound in pieces.ids])
        accepted = ~is_rejected(self.reading.at_home(pieces.logits))
        found: dict[str, Any] = {}
        for part, is_in in (("dev", is_dev_noise), ("trained", lambda kind: not is_dev_noise(kind))):
            rows = np.array([is_in(kind) for kind in kinds])
            of_pieces = np.array([is_in(kind) for kind in kinds_of_pieces])
            found[part] = {
                "pieces_not_rejected": share(accepted[of_pieces], kinds_of_pieces[of_pieces]),
                "with_utterance": share(heard[rows], kinds[rows]),
                "with_event": share(event[rows], kinds[rows]),
            }
        return found

    def _shouts(self) -> dict[str, Any]:
        """Angry and fearful clips."""
        kept = load_predictions(self._folder, "shouts")
        speakers = [f"{self._clips[path].corpus} {self._clips[path].speaker}" for path in kept.recordings]
        heard = np.isin(kept.recordings, [recording_of(sound) for sound in kept.ids])
        event = with_event(kept.recordings, self.reading.at_home(kept.logits), kept.ids)
        return {"with_utterance": share(heard, speakers), "with_event": share(event, speakers)}

    def _both(self, kept: Predictions) -> dict[str, NDArray[np.float64]]:
        """The agent's answers as they come, ``home``, and with the corpora's ``even`` prior."""
        return {"home": self.reading.at_home(kept.logits), "even": self.reading.calibrated(kept.logits)}

    def _kept(self, condition: str) -> tuple[Predictions, list[Clip]]:
        kept = load_predictions(self._folder, condition)
        return kept, [self._clips[path] for path in kept.ids]

    def _figures(self, kept: Predictions, clips: Sequence[Clip], rows: Sequence[int]) -> Figures:
        logits = kept.logits[list(rows)]
        return figures(logits, [clips[row] for row in rows], self.reading.calibrated(logits))
