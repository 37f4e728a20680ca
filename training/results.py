"""The file of results: every figure of an experiment, rounded, each kind under its own key."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from training.settings import Settings

_NUMBERS_ON_LINES = re.compile(r"\[\s+(-?[\d.][^\[\]{}\"]*?)\s+\]")


def keep_result(settings: Settings, key: str, result: Mapping[str, Any]) -> None:
    """Put a result into the file of results, beside what is there."""
    path = settings.results_file
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(rounded(load_results(settings) | {key: result}), indent=1)
    text = _NUMBERS_ON_LINES.sub(lambda found: f"[{' '.join(found[1].split())}]", text)
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(text + "\n", encoding="utf-8")
    unfinished.replace(path)


def load_results(settings: Settings) -> dict[str, Any]:
    """Read the file of results; it is empty where there is none."""
    path = settings.results_file
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def rounded(value: Any) -> Any:  # noqa: ANN401 - JSON
    """Give plain JSON data with floats of four significant digits."""
    match value:
        case float():
            return float(f"{value:.4g}")
        case dict():
            return {key: rounded(item) for key, item in value.items()}
        case list() | tuple():
            return [rounded(item) for item in value]
        case _:
            return value
