"""The command line: ``python -m training COMMAND [--config FILE]``."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from ser_agent.errors import SerAgentError
from training.corpora.labels import read_mapping

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_CONFIG = Path(__file__).parent / "averaged.yaml"


class Command(NamedTuple):
    """One command: where its function is, what it does, and its own options, as ``add_argument`` takes them.

    ``settings`` is the module whose ``load_settings`` reads what ``--config`` names, by default ``config``.
    """

    module: str
    function: str
    help: str
    options: Mapping[str, dict[str, Any]] = MappingProxyType({})
    settings: str = "training.settings"
    config: Path = DEFAULT_CONFIG


OWN_CLIPS: Mapping[str, dict[str, Any]] = MappingProxyType(
    {
        "--data": {
            "type": Path,
            "nargs": "+",
            "default": (),
            "metavar": "PATH",
            "help": "your own clips: folders with one for each emotion, or CSV files with path and emotion",
        },
        "--map": {
            "nargs": "+",
            "default": (),
            "metavar": "NAME=LABEL",
            "help": "what a class of your own clips means, such as bored=neutral, or bored=skip",
        },
    }
)

COMMANDS = {
    "cache": Command(
        "training.cache_writer",
        "build_cache",
        "decode the corpora, and your own clips",
        {
            **OWN_CLIPS,
            "--limit": {"type": int, "metavar": "N", "help": "a trial with so many recordings of each corpus"},
        },
    ),
    "distil": Command("training.distil", "distil", "train the front end, or go on training it"),
    "front": Command(
        "training.front",
        "take_front",
        "take the front end of a finished model, instead of distil",
        {"--model": {"type": Path, "metavar": "FOLDER", "help": "the checkpoint (default: ser_agent/model)"}},
    ),
    "teach": Command(
        "training.teachers", "teach", "train teachers, and keep what they hear in the training clips", OWN_CLIPS
    ),
    "finetune": Command("training.finetune", "finetune", "train the model, or go on training it", OWN_CLIPS),
    "average": Command("training.average", "average", "average the weights of other experiments' models"),
    "evaluate": Command(
        "training.evaluate",
        "evaluate",
        "judge a checkpoint on the dev speakers, noise and plain speech",
        {
            "--model": {"type": Path, "metavar": "FOLDER", "help": "the checkpoint (default: ser_agent/model)"},
            "--name": {"help": "of the results, instead of the configuration's"},
            "--limit": {"type": int, "metavar": "N", "help": "a trial with so many recordings of each condition"},
        },
    ),
    "report": Command(
        "training.report",
        "report",
        "write the report from what evaluate has kept",
        {
            "--name": {"help": "of the results, instead of the configuration's"},
            "--folder": {"type": Path, "help": "for the report (default: docs/model)"},
        },
    ),
    "abroad": Command(
        "training.elsewhere",
        "abroad",
        "train without a corpus, and judge on it",
        {
            "--only": {
                "nargs": "+",
                "default": (),
                "metavar": "CORPUS",
                "help": "leave out these, one at a time (default: each that has acted emotion)",
            }
        },
    ),
    "folds": Command("training.elsewhere", "folds", "judge on all of RAVDESS's actors, in folds by actor"),
    "compare": Command(
        "training.compare.command",
        "compare",
        "train other systems on the same clips, and judge them and the embedded model",
        {
            "--only": {
                "nargs": "+",
                "choices": ("svm", "cnn", "lstm", "wav2vec2", "ours"),
                "help": "judge only these, even where it is done already",
            },
        },
        settings="training.compare.settings",
        config=Path(__file__).parent / "compare.yaml",
    ),
    "export": Command(
        "training.export",
        "export",
        "calibrate the model, and write it",
        {"--folder": {"type": Path, "help": "for a model of your own (default: ser_agent/model)"}, **OWN_CLIPS},
    ),
    "card": Command("training.export", "write_card", "write the model card from what evaluate has kept"),
}


def main() -> None:
    """Run one command."""
    parser = argparse.ArgumentParser(prog="python -m training", description="Train and judge the embedded model.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        own = commands.add_parser(name, help=command.help, description=command.help)
        own.add_argument("--config", type=Path, default=command.config, help="the experiment")
        own.add_argument("--corpora", type=Path, help="the folder of the corpora, instead of the configuration's")
        for option, details in command.options.items():
            own.add_argument(option, **details)
    arguments = vars(parser.parse_args())
    command = COMMANDS[arguments.pop("command")]
    try:
        settings = import_module(command.settings).load_settings(arguments.pop("config"))
        if (corpora := arguments.pop("corpora")) is not None:
            settings = settings.model_copy(update={"corpora": corpora.resolve()})
        if data := arguments.pop("data", ()):
            clips = (*settings.data, *(path.resolve() for path in data))
            settings = settings.model_copy(update={"data": clips})
        if texts := arguments.pop("map", ()):
            mapping = settings.label_map | read_mapping(texts)
            settings = settings.model_copy(update={"label_map": mapping})
        getattr(import_module(command.module), command.function)(settings, **arguments)
    except SerAgentError as error:
        parser.exit(error.exit_code, f"{error}\n")


if __name__ == "__main__":
    main()
