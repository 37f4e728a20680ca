"""What one experiment is made of: read from a YAML file, checked, and never changed afterwards."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field

ROOT = Path(__file__).resolve().parent.parent


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HeadSettings(_Section):
    """The first step: the head alone, on states that were pooled once."""

    steps: int = Field(1500, ge=1)
    batch_size: int = Field(256, ge=1)
    learning_rate: float = Field(1e-3, gt=0)
    l2: float = Field(0.02, ge=0)
    """Penalty on the classifier's squared weights."""


class FinetuneSettings(_Section):
    """The second step: the transformer's layers.

    It ends after ``steps`` or after ``minutes``, whichever is first; the learning rate falls to zero by then.
    """

    steps: int = Field(4000, ge=1)
    minutes: float = Field(40.0, gt=0)
    batch_size: int = Field(16, ge=1)
    warmup_steps: int = Field(100, ge=1)
    learning_rate: float = Field(2e-5, gt=0)
    head_learning_rate: float = Field(2e-4, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    check_minutes: float = Field(4.0, gt=0)


class AugmentSettings(_Section):
    """What happens to a training clip; the ``p`` are probabilities."""

    p_trim: float = Field(0.65, ge=0, le=1)
    max_s: float = Field(4.0, gt=0)
    speed: float = Field(0.08, ge=0, lt=0.5)
    p_room: float = Field(0.2, ge=0, le=1)
    p_noise: float = Field(0.5, ge=0, le=1)
    snr_db: tuple[float, float] = (8.0, 35.0)


class Settings(_Section):
    """One experiment.

    Attributes:
        name: names the folder of the run and the file of its results.
        corpora: the folder with ``manifest.csv``; a relative path counts from the repository's root.
        start_from: the checkpoint to start from; likewise.
        held_out: speakers of the train split, by corpus, that choose the checkpoint and the temperature.
        label_smoothing: share of the target that is spread over the labels of the clip's corpus.
        threads: of torch.
        seed: of every random choice.
    """

    name: str = "first"
    corpora: Path = Path("../shared/corpora")
    start_from: Path = Path("../shared/pretrained/wav2vec2-tiny-init")
    held_out: dict[str, tuple[str, ...]] = {}
    label_smoothing: float = Field(0.05, ge=0, lt=1)
    threads: int = Field(2, ge=1)
    seed: int = 1
    head: HeadSettings = HeadSettings()
    finetune: FinetuneSettings = FinetuneSettings()
    augment: AugmentSettings = AugmentSettings()

    @property
    def corpora_folder(self) -> Path:
        """Where the corpora are."""
        return (ROOT / self.corpora).resolve()

    @property
    def start_folder(self) -> Path:
        """Where the checkpoint to start from is."""
        return (ROOT / self.start_from).resolve()

    @property
    def cache_folder(self) -> Path:
        """Where decoded sound is kept."""
        return ROOT / "training" / ".cache"

    @property
    def run_folder(self) -> Path:
        """Where this experiment's checkpoints are kept."""
        return ROOT / "training" / ".runs" / self.name

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
