"""``ser-agent export``: a checkpoint as a folder for the engine `onnx`, compared with what it was made from."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from ser_agent import logs
from ser_agent.app import Workshop
from ser_agent.classifiers.wav2vec2 import Wav2Vec2Classifier, Wav2Vec2Options
from ser_agent.cli.listening import FileReader
from ser_agent.cli.settings import load_settings
from ser_agent.errors import EX_OK, ConfigError, UnavailableError
from ser_agent.ports import PluginContext
from ser_agent.trial import CONVERSATION

if TYPE_CHECKING:
    import argparse

    from ser_agent.audio import Utterance
    from ser_agent.config import Loaded


def execute(args: argparse.Namespace) -> int:
    """Export, compare, and say how alike the two are."""
    loaded = load_settings(args)
    logs.set_up(loaded.config.log.level)
    options = loaded.config.classifier
    if not isinstance(options, Wav2Vec2Options):
        raise ConfigError(f"only models of the classifier `wav2vec2` can be exported, not of `{options.type}`")
    context = PluginContext(loaded.config.site, loaded.base_dir)
    chosen = {"model": args.checkpoint, "engine": "torch", "device": "cpu"}
    original = Wav2Vec2Classifier(options.model_copy(update=chosen), context)
    target = Path(args.folder)
    original.export(target, args.precision)
    made = {"model": str(target.absolute()), "engine": "onnx"}
    exported = Wav2Vec2Classifier(options.model_copy(update=made), context)
    utterances = _speech(args.speech, loaded)
    exported.load()
    print(f"{target}: {original.load().name}, {args.precision}, {_megabytes(target):.0f} MB")
    print(_compared(original, exported, utterances))
    return EX_OK


def _compared(original: Wav2Vec2Classifier, exported: Wav2Vec2Classifier, utterances: list[Utterance]) -> str:
    from ser_agent.classifiers.onnx_export import agreement

    alike = agreement(original.classify(utterances), exported.classify(utterances))
    return (
        f"compared with torch on {alike.utterances} utterances: probabilities differ by at most "
        f"{alike.largest_difference:.2g}, and {alike.same_best:.1%} have the same best label"
    )


def _speech(named: list[str], loaded: Loaded) -> list[Utterance]:
    """Utterances to compare on: of the recordings named, or of the bundled conversation."""
    recordings = named or [str(files("ser_agent").joinpath(CONVERSATION))]
    reader = FileReader(recordings)
    found = [utterance for _, utterance in reader.segmented(Workshop(loaded))]
    if not found:
        raise UnavailableError(f"nobody speaks in {', '.join(recordings)}")
    return found


def _megabytes(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file()) / 1e6
