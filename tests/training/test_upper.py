"""The frozen lower part, the trained upper part, and the whole model that they are put together to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from support.tiny_model import HIDDEN, tiny_model

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from training.batches import Batches, padded  # noqa: E402 - after the skips
from training.corpora import MODEL_LABELS, Clip  # noqa: E402
from training.head import fit_head, pooled_states  # noqa: E402
from training.network import predict_logits, soft_cross_entropy  # noqa: E402
from training.settings import FinetuneSettings, HeadSettings, Settings  # noqa: E402
from training.states import LowerPart, States, write_states  # noqa: E402
from training.upper import UpperPart, put_together  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LABELS = len(MODEL_LABELS)
RNG = np.random.default_rng(3)
SOUNDS = [RNG.standard_normal(length, dtype=np.float32) for length in (9_000, 4_000, 16_000, 12_345)]


def clip(name: str, emotion: str) -> Clip:
    return Clip(name, "ravdess", "01", emotion, "train")


def looks(folder: Path, states: dict[str, NDArray[np.float16]]) -> list[States]:
    """Keep made-up states as one look."""
    path = folder / "look0.f16"
    sounds = [(name, np.zeros(8, np.float32)) for name in states]
    given = iter(sorted(states.values(), key=len))
    write_states(path, lambda some: [next(given) for _ in some], sounds, len(sounds))
    return [States(path)]


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_the_lower_part_gives_the_encoders_own_states(layers: int) -> None:
    encoder = tiny_model().wav2vec2
    for sound, states in zip(SOUNDS, LowerPart(encoder, layers)(SOUNDS), strict=True):
        alone = torch.from_numpy((sound - sound.mean()) / np.sqrt(sound.var() + 1e-7))[None]
        with torch.no_grad():
            own = encoder(alone, output_hidden_states=True).hidden_states[layers][0]
        np.testing.assert_allclose(states.astype(np.float32), own.numpy(), atol=5e-3)


def test_states_come_back_by_name_in_whatever_order_they_were_computed(tmp_path: Path) -> None:
    lower = LowerPart(tiny_model().wav2vec2, 1)
    named = [(f"clip {number}", sound) for number, sound in enumerate(SOUNDS)]
    write_states(tmp_path / "look.f16", lower, named, len(named))
    kept = States(tmp_path / "look.f16")
    for name, sound in named:
        np.testing.assert_allclose(kept[name], lower([sound])[0].astype(np.float32), atol=5e-3)


def test_states_that_were_not_written_to_the_end_do_not_count(tmp_path: Path) -> None:
    def broken() -> Any:  # noqa: ANN401
        yield "a", SOUNDS[0]
        raise RuntimeError("interrupted")

    with pytest.raises(RuntimeError, match="interrupted"):
        write_states(tmp_path / "look.f16", LowerPart(tiny_model().wav2vec2, 1), broken(), 2)
    with pytest.raises(FileNotFoundError):
        States(tmp_path / "look.f16")


@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_what_is_put_together_answers_as_its_parts_did(frozen: int) -> None:
    model = tiny_model(LABELS)
    lower, upper = LowerPart(model.wav2vec2, frozen), UpperPart(model.wav2vec2, frozen)
    upper.standardise.running_mean = torch.randn(HIDDEN)
    upper.standardise.running_var = torch.rand(HIDDEN) + 0.5
    torch.nn.init.normal_(upper.classifier.weight)
    with torch.no_grad():
        for layer in upper.layers:
            for weight in layer.parameters():
                weight.mul_(1.5)
        wanted = upper.eval()(*padded([states.astype(np.float32) for states in lower(SOUNDS)]))
    whole = tiny_model(LABELS)
    put_together(whole, upper)
    np.testing.assert_allclose(predict_logits(whole, SOUNDS), wanted.numpy(), atol=0.02)


def test_the_head_learns_what_the_states_tell(tmp_path: Path) -> None:
    emotions = ["angry", "sad", "happy", "neutral"]
    clips = [clip(f"{number}", emotions[number % 4]) for number in range(80)]
    means = {emotion: RNG.normal(size=HIDDEN) * 3 for emotion in emotions}
    kept = looks(tmp_path, {one.path: np.tile(means[one.emotion], (5, 1)).astype(np.float16) for one in clips})
    upper = UpperPart(tiny_model(LABELS).wav2vec2, 1)
    weights = np.full(len(clips), 1 / len(clips))
    pooled = pooled_states(upper, clips, kept[0])
    loss = fit_head(upper, pooled, clips, weights, Settings(head=HeadSettings(steps=200, batch_size=32)))
    answers = upper.eval().logits(pooled).argmax(1).tolist()
    assert answers == [one.label for one in clips]
    assert loss < 0.5


def test_batches_are_balanced_cropped_and_smoothed_among_the_labels_of_their_corpus(tmp_path: Path) -> None:
    clips = [clip("long", "sad"), *(Clip(f"{i}", "crema-d", "1001", "angry", "train") for i in range(9))]
    clips = [
        *clips[:1],
        *(Clip(c.path, c.corpus, c.speaker, c.emotion, c.part, choices=MODEL_LABELS[:6]) for c in clips[1:]),
    ]
    kept = looks(tmp_path, {one.path: np.ones((20, HIDDEN), np.float16) for one in clips})
    goal = FinetuneSettings(batch_size=400, p_mixup=0.0, p_mask=0.0, max_s=0.6 - 0.08)
    settings = Settings(finetune=goal, label_smoothing=0.1)
    batch = Batches(clips, kept, settings, (), RNG).draw()
    assert batch.states.shape == (400, 20, HIDDEN)
    assert batch.kept.all()
    sad = batch.targets.argmax(1) == MODEL_LABELS.index("sad")
    assert 0.4 < sad.float().mean() < 0.6
    torch.testing.assert_close(batch.targets.sum(1), torch.ones(400))
    assert (batch.targets[~batch.allowed] == 0).all()


def test_a_mixed_batch_has_mixed_targets_and_allows_what_either_allows(tmp_path: Path) -> None:
    clips = [clip("a", "sad"), clip("b", "angry")]
    kept = looks(tmp_path, {"a": np.zeros((30, HIDDEN), np.float16), "b": np.ones((20, HIDDEN), np.float16)})
    settings = Settings(finetune=FinetuneSettings(batch_size=64, p_mixup=1.0, p_mask=0.0), label_smoothing=0.0)
    batch = Batches(clips, kept, settings, (), np.random.default_rng(1)).draw()
    assert ((batch.targets > 0).sum(1) == 2).any()
    torch.testing.assert_close(batch.targets.sum(1), torch.ones(64))


def test_the_soft_cross_entropy_gives_no_gradient_to_labels_that_are_not_allowed() -> None:
    logits = torch.zeros(1, LABELS, requires_grad=True)
    allowed = torch.tensor([[True, True] + [False] * (LABELS - 2)])
    targets = torch.tensor([[0.75, 0.25] + [0.0] * (LABELS - 2)])
    loss = soft_cross_entropy(logits, targets, allowed)
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(np.log(2), abs=1e-6)
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad[0, :2], torch.tensor([-0.25, 0.25]))
    assert (logits.grad[0, 2:] == 0).all()
