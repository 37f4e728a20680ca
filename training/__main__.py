"""The command line: ``python -m training COMMAND [--config FILE]``."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from training.settings import load_settings

COMMANDS = {
    "cache": ("training.cache", "build_cache", "decode the corpora"),
    "baseline": ("training.baseline", "baseline", "train and judge an SVM on MFCC statistics"),
    "finetune": ("training.finetune", "finetune", "train the model, or go on training it"),
    "evaluate": ("training.evaluate", "evaluate", "judge the best model so far on the dev speakers"),
    "export": ("training.export", "export", "write the best model so far to ser_agent/model"),
}


def main() -> None:
    """Run one command."""
    parser = argparse.ArgumentParser(prog="python -m training", description="Train the embedded model.")
    parser.add_argument("command", choices=COMMANDS, help="; ".join(f"{k}: {v[2]}" for k, v in COMMANDS.items()))
    parser.add_argument("--config", type=Path, default=Path(__file__).parent / "first.yaml", help="the experiment")
    parser.add_argument("--corpora", type=Path, help="the folder of the corpora, instead of the configuration's")
    arguments = parser.parse_args()
    settings = load_settings(arguments.config)
    if arguments.corpora is not None:
        settings = settings.model_copy(update={"corpora": arguments.corpora.resolve()})
    module, function, _ = COMMANDS[arguments.command]
    getattr(import_module(module), function)(settings)


if __name__ == "__main__":
    main()
