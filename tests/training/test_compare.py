from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("librosa")
pytest.importorskip("sklearn")

from pydantic import ValidationError  # noqa: E402 - after the skips

from training.__main__ import COMMANDS  # noqa: E402
from training.compare.command import SYSTEMS, compare_on  # noqa: E402
from training.compare.confusions import confusions  # noqa: E402
from training.compare.features import cached_features, log_mels, mfcc_statistics  # noqa: E402
from training.compare.fitting import Trainee, fit  # noqa: E402
from training.compare.material import Material  # noqa: E402
from training.compare.mel_systems import masked  # noqa: E402
from training.compare.nets import MelCnn, MelLstm, padded  # noqa: E402
from training.compare.page import NAMES, page  # noqa: E402
from training.compare.settings import CompareSettings, MelSettings, NetSettings, load_settings  # noqa: E402
from training.compare.speed import measure  # noqa: E402
from training.corpora import CORPUS_LABELS, LABELS, Clip  # noqa: E402
from training.settings import ROOT  # noqa: E402
from training.settings import load_settings as load_experiment  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from ser_agent.audio import Samples

RNG = np.random.default_rng(11)
BANDS = 16
TINY_NET = NetSettings(steps=2, batch_size=4, check_minutes=10, max_s=1.0)
TINY = CompareSettings(
    name="tiny", cnn=TINY_NET, lstm=TINY_NET, wav2vec2=TINY_NET, repeats=1, resamples=20, page="page.md"
)


def synthetic(per_label: int = 6) -> Material:
    """Clips of one corpus, half of them to train on, whose sounds are noise."""
    parts = ("train", "held", "train")
    clips = [
        Clip(f"{label}-{number}", "ravdess", str(number % 3), label, parts[number % 3])  # type: ignore[arg-type]
        for label in LABELS
        for number in range(per_label)
    ]
    sounds = {
        clip.path: RNG.integers(-3000, 3000, 8_000 + 40 * row).astype(np.int16) for row, clip in enumerate(clips)
    }
    return Material(clips, lambda clip: sounds[clip.path])


def telling(clip: Clip) -> NDArray[np.float32]:
    """Frames that say the label outright."""
    return np.tile(np.eye(7, dtype=np.float32)[clip.label], (4, 1))


def linear(material: Material, goal: NetSettings, inputs: Any = telling) -> tuple[Any, Any]:  # noqa: ANN401
    torch.manual_seed(0)
    model = torch.nn.Linear(7, 7)
    trainee = Trainee(
        "linear",
        model,
        lambda rows: model(torch.from_numpy(np.stack([frames.mean(axis=0) for frames in rows]))),
        inputs,
        4.0,
        lambda rows, _: rows,
    )
    return trainee, fit(trainee, material, goal, CompareSettings())


def test_a_net_learns_what_its_inputs_tell() -> None:
    material = synthetic()
    goal = NetSettings(steps=200, learning_rate=0.05, batch_size=8, check_minutes=10)
    trainee, training = linear(material, goal)
    assert (training["ended"], training["steps"], training["held_uar"]) == ("steps", 200, 1.0)
    held = material.part("held")
    assert (trainee.logits(held).argmax(axis=1) == [clip.label for clip in held]).all()


def test_a_training_without_gain_ends_early_and_goes_back_to_the_best_state() -> None:
    def silent(_clip: Clip) -> NDArray[np.float32]:
        return np.zeros((4, 7), dtype=np.float32)

    goal = NetSettings(steps=500, batch_size=4, check_minutes=1e-9, patience=3)
    trainee, training = linear(synthetic(), goal, silent)
    assert (training["ended"], training["checks"], training["best_step"]) == ("patience", 4, 1)
    torch.manual_seed(0)
    fresh = torch.nn.Linear(7, 7).bias
    moved = (trainee.model.bias - fresh).abs().max()
    assert 0 < moved <= 1.01 * goal.learning_rate / goal.warmup_steps


def test_a_training_ends_when_its_processor_time_is_used_up() -> None:
    _, training = linear(synthetic(), NetSettings(minutes=1e-6, batch_size=4))
    assert (training["ended"], training["steps"], training["checks"]) == ("minutes", 1, 1)
    assert training["minutes"] > 1e-6


@pytest.mark.parametrize("kind", [MelCnn, MelLstm])
def test_a_nets_answer_to_a_clip_does_not_depend_on_its_neighbours(kind: type[MelCnn | MelLstm]) -> None:
    torch.manual_seed(0)
    net = kind(torch.full((BANDS,), -40.0), torch.full((BANDS,), 12.0)).eval()
    clips = [RNG.uniform(-80, 0, (frames, BANDS)).astype(np.float16) for frames in (7, 90, 33, 64)]
    with torch.inference_mode():
        single = torch.cat([net(*padded([clip])) for clip in clips])
        together = net(*padded(clips))
    assert together.shape == (4, 7)
    torch.testing.assert_close(together, single, atol=1e-5, rtol=1e-5)


def test_masking_hides_a_fifth_of_time_and_bands_at_most_and_leaves_the_clip_alone() -> None:
    clip = RNG.uniform(-80, 0, (50, 20)).astype(np.float32)
    before = clip.copy()
    changed = np.zeros(clip.shape, dtype=bool)
    for _ in range(20):
        hidden = masked(clip, RNG) != clip
        assert hidden.all(axis=1).sum() <= 10
        assert hidden.all(axis=0).sum() <= 4
        changed |= hidden
    assert changed.any()
    np.testing.assert_array_equal(clip, before)


def test_spectrograms_and_statistics_have_a_row_for_each_frame_and_clip() -> None:
    sound = RNG.standard_normal(16_000, dtype=np.float32)
    mels = log_mels(sound, MelSettings(bands=32, hop_samples=160))
    assert mels.shape == (101, 32)
    assert mels.max() - mels.min() <= 80
    assert mfcc_statistics(sound).shape == (120,)


def test_features_are_computed_once_and_anew_when_settings_or_clips_change(tmp_path: Path) -> None:
    calls = []

    def compute(sound: NDArray[np.float32]) -> NDArray[np.float32]:
        calls.append(len(sound))
        return sound[: len(sound) // 100, None]

    material = synthetic()
    first = cached_features(material, "short", compute, {"hop": 1}, tmp_path)
    again = cached_features(material, "short", compute, {"hop": 1}, tmp_path)
    assert len(calls) == len(material.clips)
    for clip in material.clips:
        np.testing.assert_array_equal(first[clip.path], again[clip.path])
    cached_features(material, "short", compute, {"hop": 2}, tmp_path)
    cached_features(Material(material.clips[1:], material.samples), "short", compute, {"hop": 2}, tmp_path)
    assert len(calls) == 3 * len(material.clips) - 1


def test_confusions_are_counted_where_the_corpus_has_both_emotions() -> None:
    clips = [Clip("a", "crema-d", "1", "fear", "dev")]
    clips += [Clip(path, "nemo", "1", "fear", "dev") for path in "bcde"]
    given = ["angry", "surprise", "disgust", "sad", "fear"]
    logits = np.array([[label == name for label in LABELS] for name in given], dtype=np.float64)
    logits[2, LABELS.index("surprise")] = 0.5  # nEMO has no disgust, so the clip's second choice counts
    fear, surprise, *_ = confusions(logits, clips)
    assert fear == {
        "emotion": "fear",
        "taken_for": "surprise",
        "clips": 4,
        "mistaken": 3,
        "confused": 2,
        "commonest": "surprise",
    }
    assert (surprise["clips"], surprise["mistaken"], surprise["commonest"]) == (0, 0, None)


def test_the_speed_is_the_median_of_processor_time_after_a_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0

    def takes(*seconds: float) -> Any:  # noqa: ANN401
        left = list(seconds)

        def answer(_samples: Samples) -> object:
            nonlocal now_s
            now_s += left.pop(0)
            return None

        return answer

    monkeypatch.setattr("time.process_time", lambda: now_s)
    found = measure(takes(9, 0.01, 0.02, 0.09), takes(9, 0.1, 0.2, 0.3), np.zeros(1, dtype=np.int16), 3)
    assert found == pytest.approx({"cpu_ms": 20.0, "peer_cpu_ms": 200.0, "times_faster": 10.0})


def test_the_settings_are_read_and_a_key_that_is_none_is_refused(tmp_path: Path) -> None:
    settings = load_settings(ROOT / "training" / "compare.yaml")
    assert settings.experiment.results_file == ROOT / "training" / "results" / "compare.json"
    assert settings.page_file == ROOT / "docs" / "model" / "compare.md"
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("cnn: {minuets: 4}\n", encoding="utf-8")
    with pytest.raises(ValidationError, match=r"cnn\.minuets"):
        load_settings(wrong)


def test_the_others_learn_from_the_same_people_as_what_calibrates_the_embedded_model() -> None:
    embedded = load_experiment(ROOT / "training" / "halves.yaml")
    compared = load_settings(ROOT / "training" / "compare.yaml").experiment
    assert (compared.held_out, compared.corpora) == (embedded.held_out, embedded.corpora)


def test_the_command_line_knows_every_system() -> None:
    assert COMMANDS["compare"].options["--only"]["choices"] == tuple(SYSTEMS) == tuple(NAMES)


def some_clips(corpora: Path) -> Material:
    """Two to train on, one held out and two of ``dev`` of each emotion and corpus, each by another speaker."""
    wanted = {"train": 2, "held": 1, "dev": 2}
    with (corpora / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["emotion"] in CORPUS_LABELS[row["corpus"]]]
    chosen: dict[tuple[str, str, str], dict[str, Clip]] = {}
    for row in rows:
        last = {"crema-d": "1069", "ravdess": "24", "nemo": "MP0"}[row["corpus"]]
        part: Any = "held" if row["speaker"] == last else row["split"]
        found = chosen.setdefault((row["corpus"], row["emotion"], part), {})
        if len(found) < wanted[part] and row["speaker"] not in found:
            found[row["speaker"]] = Clip(row["path"], row["corpus"], row["speaker"], row["emotion"], part)
    clips = [clip for found in chosen.values() for clip in found.values()]
    sounds = {clip.path: soundfile.read(corpora / clip.path, dtype="int16")[0] for clip in clips}
    return Material(clips, lambda clip: sounds[clip.path])


def kept(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "training" / "results" / "tiny.json").read_text(encoding="utf-8"))
    return found


def trained_at(root: Path) -> Mapping[str, int]:
    runs = root / "training" / ".runs" / "tiny"
    return {path.parent.name: path.stat().st_mtime_ns for path in runs.glob("*/trained.json")}


@pytest.mark.corpora
@pytest.mark.model
def test_all_systems_are_trained_judged_and_told_of_once(
    corpora: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("training.settings.ROOT", tmp_path)
    material = some_clips(corpora)
    assert [len(material.part(part)) for part in ("train", "held", "dev")] == [38, 19, 38]
    compare_on(material, TINY)
    results, trained = kept(tmp_path), trained_at(tmp_path)
    assert set(results) == {"settings", *SYSTEMS}
    for name in SYSTEMS:
        record = results[name]
        assert record["pooled"]["clips"] == 38
        assert set(record["corpora"]) == set(CORPUS_LABELS)
        assert record["parameters"] > 1000
        assert record["speed"]["cpu_ms"] > 0
    assert results["wav2vec2"]["training"]["steps"] == 2
    assert results["wav2vec2"]["parameters"] == pytest.approx(results["ours"]["parameters"], rel=0.01)
    text = (tmp_path / "page.md").read_text(encoding="utf-8")
    assert text.count(f"**{results['ours']['pooled']['uar']:.3f}**") >= 1
    assert all(text.count(f"| {name} |") == 2 for name in NAMES.values())

    capsys.readouterr()
    compare_on(material, TINY)
    assert capsys.readouterr().out.count("is finished") == len(SYSTEMS)
    compare_on(material, TINY.model_copy(update={"svm": TINY.svm.model_copy(update={"costs": (2.0,)})}), ["svm"])
    assert kept(tmp_path)["svm"]["training"]["cost"] == 2.0
    again = trained_at(tmp_path)
    assert {name for name in SYSTEMS if again[name] != trained[name]} == {"svm"}


def test_the_page_warns_where_systems_heard_different_clips() -> None:
    results = json.loads((ROOT / "training" / "results" / "compare.json").read_text(encoding="utf-8"))
    assert "Not comparable" not in page(results)
    results["svm"]["material"] = "other"
    assert f"**Not comparable yet**: {NAMES['svm']} heard the clips cut or divided otherwise." in page(results)


def test_the_page_leaves_open_what_the_corpora_do_not_tell() -> None:
    results = json.loads((ROOT / "training" / "results" / "compare.json").read_text(encoding="utf-8"))
    ours = results["ours"]
    del ours["corpora"]["nemo"]
    ours["pooled"]["intervals"]["uar"]["speakers"] = None
    ours["confusions"][0] |= {"clips": 0, "mistaken": 0, "confused": 0, "commonest": None}
    figures, confused = (line for line in page(results).splitlines() if line.startswith(f"| {NAMES['ours']} |"))
    cells = [cell.strip() for cell in figures.split("|")]
    assert cells[3] == f"**{ours['pooled']['uar']:.3f}**"
    assert cells[7] == confused.split("|")[2].strip() == "–"


def test_the_page_in_the_repository_is_the_recorded_results() -> None:
    results = json.loads((ROOT / "training" / "results" / "compare.json").read_text(encoding="utf-8"))
    assert page(results) == (ROOT / "docs" / "model" / "compare.md").read_text(encoding="utf-8")
    assert results["settings"] == load_settings(ROOT / "training" / "compare.yaml").model_dump(mode="json")
