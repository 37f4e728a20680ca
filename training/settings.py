"""What one experiment is made of: read from a YAML file, checked, and never changed afterwards."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from training.distil_settings import DistilSettings

ROOT = Path(__file__).resolve().parent.parent

Published: TypeAlias = Literal["crema-d", "ravdess", "nemo", "plain-speech", "noise"]
Mp3Rate: TypeAlias = Literal[8, 16, 24, 32, 40, 48, 56, 64]


def _rising(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise ValueError(f"the first of {limits} is larger than the second")
    return limits


Range: TypeAlias = Annotated[tuple[float, float], AfterValidator(_rising)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TeacherSettings(_Section):
    """Heads on the frozen teacher that tell of each clip what they hear, though they never heard its speaker.

    Attributes:
        corpora: whose clips have the teachers' answers in their targets; all those of acted emotion by default.
            The answers are no good where there are too few speakers to learn from.
        folds: into which the speakers are divided; each is answered for by heads that learned from the others.
        members: how many heads answer together.
        steps: of each head's training.
        hidden: the width of a head.
    """

    corpora: tuple[str, ...] = ()
    folds: int = Field(5, ge=2)
    members: int = Field(3, ge=1)
    steps: int = Field(1500, ge=1)
    batch_size: int = Field(128, ge=1)
    hidden: int = Field(256, ge=1)
    dropout: float = Field(0.5, ge=0, lt=1)
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.05, ge=0)


class HeadSettings(_Section):
    """The first step: the head alone, on states that were pooled once.

    Attributes:
        keep: take the head of the checkpoint to start from instead.
    """

    keep: bool = False
    steps: int = Field(1500, ge=1)
    batch_size: int = Field(256, ge=1)
    learning_rate: float = Field(2e-3, gt=0)
    l2: float = Field(0.003, ge=0)
    """Penalty on the classifier's squared weights."""


class FinetuneSettings(_Section):
    """The second step: the encoder's upper layers, on states of the lower ones that were computed once.

    It ends after ``steps`` or after ``minutes``, whichever is first; the learning rate falls to zero by then.

    Attributes:
        looks: how many augmented looks at each clip.
        frozen_layers: of the encoder, with all below them.
        layer_decay: of the learning rate, from each layer to the one below.
        average: of the weights over steps: how much of the average stays at each.
        precision: of the multiplications; weights, sums and normalisations are in single precision always.
        votes: share of the crowd's votes in the targets that have some.
        teacher: share of what the teachers hear in the targets that have it.
        p_mixup: of mixing a batch with itself.
        p_mask: of masking a stretch of a clip.
        max_s: the longest crop, in seconds.
    """

    looks: int = Field(3, ge=1)
    frozen_layers: int = Field(2, ge=0)
    steps: int = Field(2500, ge=1)
    minutes: float = Field(40.0, gt=0)
    batch_size: int = Field(32, ge=2)
    warmup_steps: int = Field(60, ge=1)
    learning_rate: float = Field(1.5e-4, gt=0)
    head_learning_rate: float = Field(3e-4, gt=0)
    layer_decay: float = Field(0.8, gt=0, le=1)
    weight_decay: float = Field(0.02, ge=0)
    average: float = Field(0.998, ge=0, lt=1)
    precision: Literal["float32", "bfloat16"] = "float32"
    votes: float = Field(0.0, ge=0, le=1)
    teacher: float = Field(0.0, ge=0, le=1)
    p_mixup: float = Field(0.25, ge=0, le=1)
    p_mask: float = Field(0.5, ge=0, le=1)
    max_s: float = Field(3.0, gt=0.5)


class ElsewhereSettings(_Section):
    """Trainings that answer for a whole corpus, or for all of RAVDESS's actors: the same steps, on less time.

    Attributes:
        start_from: the encoder, which must not have learned from any label.
        looks: how many augmented looks at each clip.
        frozen_layers: of the encoder, with all below them.
        steps: of each training, however long it takes.
        learning_rate: of the uppermost layer; of a whole training, where the experiment's may be that of a last
            step.
        head_learning_rate: of the classifier.
        folds: into which RAVDESS's actors are divided.
    """

    start_from: Path = Path("../shared/pretrained/wav2vec2-tiny-init")
    looks: int = Field(1, ge=1)
    frozen_layers: int = Field(2, ge=0)
    steps: int = Field(500, ge=1)
    learning_rate: float = Field(1.5e-4, gt=0)
    head_learning_rate: float = Field(3e-4, gt=0)
    folds: int = Field(6, ge=2)


class AugmentSettings(_Section):
    """What happens to a training clip, in this order; the ``p`` are probabilities.

    Attributes:
        p_trim: cut silence at the edges to random margins, as a segmenter would.
        max_s: the longest stretch of a clip that is used, in seconds, before its speed is changed.
        speed: the largest change of speed, pitch included, as a share.
        p_pitch: shift the pitch and keep the speed, by ``semitones`` at most, up or down.
        p_room: play it in a measured room.
        p_noise: mix in household noise, or white noise a third of the time, at ``snr_db``.
        non_commercial_noise: use ESC-50 too, whose licence excludes commercial use.
        p_level: record it at ``level_dbfs``, with 16 bits: what is quiet becomes coarse.
        p_clip: clip ``clip_percent`` of the samples.
        p_telephone: keep 300 to 3400 Hz.
        p_mulaw: code it as µ-law.
        p_mp3: code it as MP3, at ``mp3_kbit`` kbit/s.
        p_opus: code it as Opus, at ``opus_kbit`` kbit/s.
    """

    p_trim: float = Field(0.65, ge=0, le=1)
    max_s: float = Field(4.0, gt=0)
    speed: float = Field(0.08, ge=0, lt=0.5)
    p_pitch: float = Field(0.0, ge=0, le=1)
    semitones: float = Field(1.0, ge=0, le=4)
    p_room: float = Field(0.2, ge=0, le=1)
    p_noise: float = Field(0.5, ge=0, le=1)
    snr_db: Range = (0.0, 30.0)
    non_commercial_noise: bool = False
    p_level: float = Field(0.0, ge=0, le=1)
    level_dbfs: Range = (-50.0, -15.0)
    p_clip: float = Field(0.0, ge=0, le=1)
    clip_percent: Range = (2.0, 8.0)
    p_telephone: float = Field(0.0, ge=0, le=1)
    p_mulaw: float = Field(0.0, ge=0, le=1)
    p_mp3: float = Field(0.0, ge=0, le=1)
    mp3_kbit: tuple[Mp3Rate, ...] = Field((16, 24, 32), min_length=1)
    p_opus: float = Field(0.0, ge=0, le=1)
    opus_kbit: Range = (8.0, 24.0)


class Settings(_Section):
    """One experiment.

    Attributes:
        name: names the folder of the run and the file of its results.
        corpora: the folder with ``manifest.csv``; a relative path counts from the repository's root.
        use: which of the published corpora to learn from and be judged by.
        commercial: leave out recordings whose licence excludes commercial use.
        data: own folders of clips and CSV files; relative paths likewise.
        label_map: labels by names of classes in ``data`` that are not known, or that shall mean something else;
            ``skip`` leaves a class out.
        shares: how often each corpus is drawn in training, relative to the others; 1 where nothing is said.
        cache: the folder of decoded sound; likewise.
        start_from: the checkpoint to start from; likewise.
        teacher: Whisper's encoder, whose stem the front end learns, and on which the teachers stand; likewise.
        average: names of experiments, the mean of whose models' weights is this one's model; see ``average``.
        held_out: speakers of the train split, by corpus, that are not learned from: calibration is fitted on them.
        calibrate_as: another experiment, trained alike with people held out, whose calibration is taken; likewise.
        home_prior: how often each emotion is to be expected in a home: goes into the checkpoint, for the agent.
        label_smoothing: share of the target that is spread over the labels of the clip's corpus.
        label_smoothing_of: the same for single corpora, by name.
        threads: of torch.
        seed: of every random choice.
    """

    name: str = "first"
    corpora: Path = Path("../shared/corpora")
    use: tuple[Published, ...] = ("crema-d", "ravdess", "nemo")
    commercial: bool = False
    data: tuple[Path, ...] = ()
    label_map: dict[str, str] = {}
    shares: dict[str, Annotated[float, Field(gt=0)]] = {}
    cache: Path = Path("training/.cache/v2")
    start_from: Path = Path("../shared/pretrained/wav2vec2-tiny-init")
    teacher: Path = Path("../shared/pretrained/whisper-tiny.en-encoder")
    average: tuple[str, ...] = ()
    held_out: dict[str, tuple[str, ...]] = {}
    calibrate_as: Path | None = None
    label_smoothing: float = Field(0.05, ge=0, lt=1)
    label_smoothing_of: dict[str, Annotated[float, Field(ge=0, lt=1)]] = {}
    home_prior: dict[str, Annotated[float, Field(gt=0)]] = {}
    threads: int = Field(2, ge=1)
    seed: int = 1
    distil: DistilSettings = DistilSettings()
    teachers: TeacherSettings = TeacherSettings()
    head: HeadSettings = HeadSettings()
    finetune: FinetuneSettings = FinetuneSettings()
    elsewhere: ElsewhereSettings = ElsewhereSettings()
    augment: AugmentSettings = AugmentSettings()

    @model_validator(mode="after")
    def _noise_is_licensed(self) -> Settings:
        if self.commercial and self.augment.non_commercial_noise:
            raise ValueError("commercial and augment.non_commercial_noise exclude each other")
        return self

    @property
    def corpora_folder(self) -> Path:
        """Where the corpora are."""
        return (ROOT / self.corpora).resolve()

    @property
    def data_paths(self) -> tuple[Path, ...]:
        """Where the own clips are, or are described."""
        return tuple((ROOT / path).resolve() for path in self.data)

    @property
    def start_folder(self) -> Path:
        """Where the checkpoint to start from is."""
        return (ROOT / self.start_from).resolve()

    @property
    def teacher_folder(self) -> Path:
        """Where Whisper's encoder is."""
        return (ROOT / self.teacher).resolve()

    @property
    def cache_folder(self) -> Path:
        """Where decoded sound is kept."""
        return (ROOT / self.cache).resolve()

    @property
    def run_folder(self) -> Path:
        """Where this experiment's checkpoints are kept."""
        return ROOT / "training" / ".runs" / self.name

    @property
    def teachers_file(self) -> Path:
        """Where the teachers' answers are kept."""
        return self.run_folder / "teachers.npz"

    @property
    def predictions_folder(self) -> Path:
        """Where the logits that the final figures are made from are kept."""
        return self.run_folder / "predictions"

    @property
    def results_file(self) -> Path:
        """Where this experiment's figures are kept."""
        return ROOT / "training" / "results" / f"{self.name}.json"


def load_settings(path: Path) -> Settings:
    """Read an experiment.

    Args:
        path: a YAML file; keys that it leaves out have their defaults.

    Raises:
        pydantic.ValidationError: a key is unknown or a value is out of range.
    """
    return Settings.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
