"""What the comparison is made of: read from a YAML file, checked, and never changed afterwards."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field

from training import settings as base


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MelSettings(_Section):
    """The log-mel spectrogram that the CNN and the LSTM see."""

    bands: int = Field(64, ge=16, multiple_of=16)
    hop_samples: int = Field(256, ge=64, le=1024)


class SvmSettings(_Section):
    """The costs to choose from; the held-out speakers do."""

    costs: tuple[float, ...] = Field((1.0, 3.0, 10.0, 30.0), min_length=1)


class NetSettings(_Section):
    """How a net is trained.

    It ends after ``steps``, after ``minutes`` of processor time on updates, or after ``patience`` checks on the
    held-out speakers without gain, whichever is first; the best checked state is kept. The learning rate falls to
    zero by the end of steps or minutes.

    Attributes:
        check_minutes: processor time on updates between two checks.
        max_s: the longest stretch of a clip that is trained on, in seconds.
    """

    steps: int = Field(20_000, ge=1)
    minutes: float = Field(4.0, gt=0)
    check_minutes: float = Field(0.25, gt=0)
    patience: int = Field(6, ge=1)
    batch_size: int = Field(32, ge=2)
    learning_rate: float = Field(1e-3, gt=0)
    warmup_steps: int = Field(50, ge=1)
    weight_decay: float = Field(0.01, ge=0)
    max_s: float = Field(3.0, gt=0)


class CompareSettings(_Section):
    """One comparison.

    Attributes:
        name: names the folder of what is trained and the file of results.
        corpora: the folder with ``manifest.csv``; a relative path counts from the repository's root.
        held_out: speakers of the train split, by corpus, that end the training and choose the SVM's cost.
        label_smoothing: share of the target that is spread over the labels of the clip's corpus.
        seed: of every random choice.
        repeats: how often a clip is timed.
        resamples: of either bootstrap.
        page: the table; a relative path likewise.
    """

    name: str = "compare"
    corpora: Path = Path("../shared/corpora")
    held_out: dict[str, tuple[str, ...]] = {}
    label_smoothing: float = Field(0.05, ge=0, lt=1)
    seed: int = 1
    mels: MelSettings = MelSettings()
    svm: SvmSettings = SvmSettings()
    cnn: NetSettings = NetSettings()
    lstm: NetSettings = NetSettings()
    wav2vec2: NetSettings = NetSettings()
    repeats: int = Field(20, ge=1)
    resamples: int = Field(1000, ge=1)
    page: Path = Path("docs/model/compare.md")

    @property
    def experiment(self) -> base.Settings:
        """The same as the rest of the training has it: where clips, what is trained and results are."""
        return base.Settings(name=self.name, corpora=self.corpora, held_out=self.held_out, seed=self.seed)

    @property
    def features_folder(self) -> Path:
        """Where spectrograms and statistics are kept."""
        return base.ROOT / "training" / ".cache" / "compare"

    @property
    def page_file(self) -> Path:
        """Where the table is written to."""
        return base.ROOT / self.page


def load_settings(path: Path) -> CompareSettings:
    """Read a comparison.

    Args:
        path: a YAML file; keys that it leaves out have their defaults.

    Raises:
        pydantic.ValidationError: a key is unknown or a value is out of range.
    """
    return CompareSettings.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
