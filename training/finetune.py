"""Training: the head first, then the transformer's layers. Stops, and resumes, at any time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from ser_agent.audio import float_from_pcm16
from training.cache import Cache
from training.corpora import allowed_labels, read_manifest, sampling_weights
from training.figures import mean_uar
from training.head import MovingStandardisation, fit_head, pooled_states
from training.network import (
    freeze_what_is_given,
    load_model,
    masked_cross_entropy,
    new_model,
    predict_logits,
)
from training.sound import Augmenter, collate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from transformers import Wav2Vec2ForSequenceClassification

    from training.cache import Floats
    from training.corpora import Clip
    from training.settings import Settings

_BATCHES_SORTED_TOGETHER = 8
_PRINT_STEPS = 25


def finetune(settings: Settings) -> None:
    """Train, or go on training, until the steps or the minutes are used up.

    In the run's folder there are then ``head/`` (the model after its first step), ``best/`` (the one that did best
    on the held-out speakers so far) and ``state.pt`` (to resume from).
    """
    torch.set_num_threads(settings.threads)
    torch.manual_seed(settings.seed)
    cache = Cache(settings.cache_folder)
    clips = read_manifest(settings.corpora_folder, settings.held_out)
    run = _Run(settings, cache, clips)
    if not (settings.run_folder / "head").exists():
        run.first_step()
    run.second_step()


class _Run:
    def __init__(self, settings: Settings, cache: Cache, clips: Sequence[Clip]) -> None:
        self.settings = settings
        self.train = [clip for clip in clips if clip.part == "train"]
        self.held = [clip for clip in clips if clip.part == "held"]
        self.held_sounds = [float_from_pcm16(cache.trimmed(clip)) for clip in self.held]
        self.rng = np.random.default_rng(settings.seed)
        self.augment = Augmenter(cache, settings.augment, self.rng)
        self.step = 0
        self.elapsed_s = 0.0
        self.best = 0.0
        settings.run_folder.mkdir(parents=True, exist_ok=True)

    def first_step(self) -> None:
        """Train the head on one augmented look at each clip, and keep the model."""
        model = new_model(self.settings.start_folder)
        self._say(f"pooling the states of {len(self.train)} clips")
        pooled = pooled_states(model, [self.augment(clip) for clip in self.train])
        loss = fit_head(model, pooled, self.train, self.settings)
        self._say(f"head: loss {loss:.3f}, layers {model.layer_weights.softmax(0).tolist()}")
        self._check(model)
        model.save_pretrained(self.settings.run_folder / "head")

    def second_step(self) -> None:
        """Train the layers, with a check and a checkpoint every few minutes."""
        goal = self.settings.finetune
        model = load_model(self.settings.run_folder / "head")
        freeze_what_is_given(model)
        optimizer = self._optimizer(model)
        self._resume(model, optimizer)
        self._standardisation = MovingStandardisation(model)
        checked_s, losses, batches = self.elapsed_s, [], self._batches()
        while (progress := self._progress()) < 1.0:
            started_s = time.monotonic()
            pace = min(1.0, (self.step + 1) / goal.warmup_steps) * 0.5 * (1.0 + float(np.cos(np.pi * progress)))
            losses.append(self._update(model, optimizer, next(batches), pace))
            self.step += 1
            self.elapsed_s += time.monotonic() - started_s
            if self.step % _PRINT_STEPS == 0:
                self._say(
                    f"loss {np.mean(losses[-100:]):.3f}, {progress:.0%}, {self.elapsed_s / self.step:.2f} s a step"
                )
            if self.elapsed_s - checked_s > goal.check_minutes * 60 or self._progress() >= 1.0:
                self._check(model)
                self._save(model, optimizer)
                checked_s = self.elapsed_s

    def _progress(self) -> float:
        goal = self.settings.finetune
        return max(self.step / goal.steps, self.elapsed_s / (goal.minutes * 60))

    def _optimizer(self, model: Wav2Vec2ForSequenceClassification) -> torch.optim.Optimizer:
        goal = self.settings.finetune
        head = [model.layer_weights, *model.classifier.parameters()]
        encoder = [value for value in model.wav2vec2.parameters() if value.requires_grad]
        groups = [
            {"params": encoder, "lr": goal.learning_rate, "full_lr": goal.learning_rate},
            {"params": head, "lr": goal.head_learning_rate, "full_lr": goal.head_learning_rate},
        ]
        return torch.optim.AdamW(groups, weight_decay=goal.weight_decay)

    def _batches(self) -> Iterator[list[tuple[Clip, Floats]]]:
        """Draw balanced clips, several batches at once, and put those of like length together: less padding."""
        size = self.settings.finetune.batch_size
        weights = sampling_weights(self.train)
        while True:
            chosen = self.rng.choice(len(self.train), size=size * _BATCHES_SORTED_TOGETHER, p=weights)
            pairs = [(self.train[index], self.augment(self.train[index])) for index in chosen]
            pairs.sort(key=lambda pair: len(pair[1]))
            for first in self.rng.permutation(range(0, len(pairs), size)):
                yield pairs[first : first + size]

    def _update(
        self,
        model: Wav2Vec2ForSequenceClassification,
        optimizer: torch.optim.Optimizer,
        batch: Sequence[tuple[Clip, Floats]],
        pace: float,
    ) -> float:
        model.train()
        values, mask = collate([sound for _, sound in batch])
        logits = model(values, attention_mask=mask).logits
        labels = torch.tensor([clip.label for clip, _ in batch])
        allowed = torch.tensor([allowed_labels(clip.corpus) for clip, _ in batch])
        loss = masked_cross_entropy(logits, labels, allowed, self.settings.label_smoothing)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = group["full_lr"] * pace
        optimizer.step()
        self._standardisation.follow(mask)
        return loss.item()

    def _check(self, model: Wav2Vec2ForSequenceClassification) -> None:
        """Judge the model on the held-out speakers and keep it if it is the best so far."""
        scores = mean_uar(predict_logits(model, self.held_sounds), self.held)
        self._say("held-out UAR " + ", ".join(f"{corpus} {score:.3f}" for corpus, score in scores.items()))
        if scores["mean"] > self.best:
            self.best = scores["mean"]
            model.save_pretrained(self.settings.run_folder / "best")

    def _save(self, model: Wav2Vec2ForSequenceClassification, optimizer: torch.optim.Optimizer) -> None:
        state = {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "rng": self.rng.bit_generator.state,
            "step": self.step,
            "elapsed_s": self.elapsed_s,
            "best": self.best,
        }
        unfinished = self.settings.run_folder / "state.pt.tmp"
        torch.save(state, unfinished)
        unfinished.replace(self.settings.run_folder / "state.pt")

    def _resume(self, model: Wav2Vec2ForSequenceClassification, optimizer: torch.optim.Optimizer) -> None:
        path = self.settings.run_folder / "state.pt"
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        self.rng.bit_generator.state = state["rng"]
        self.step, self.elapsed_s, self.best = state["step"], state["elapsed_s"], state["best"]
        self._say("resumed")

    def _say(self, what: str) -> None:
        line = f"{time.strftime('%H:%M:%S')} step {self.step}: {what}"
        print(line, flush=True)
        with (self.settings.run_folder / "log.txt").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
