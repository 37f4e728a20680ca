"""Colours of the emotions on the pages, for a light and a dark background.

Each has a contrast of at least 3:1 to the cards it lies on, and any two differ for people with normal sight and
for those who lack one kind of cone; a test computes both. Colour is never alone all the same: an emoji, a word or
a place always says it, too.
"""

from __future__ import annotations

from typing import Final

from ser_agent.labels import UNCERTAIN, Emotion

LIGHT_CARD: Final = "#ffffff"
DARK_CARD: Final = "#171c26"
LIGHT: Final = {
    Emotion.ANGRY: "#da2e1e",
    Emotion.CALM: "#1ca399",
    Emotion.DISGUST: "#407912",
    Emotion.FEAR: "#5918a1",
    Emotion.HAPPY: "#c58523",
    Emotion.NEUTRAL: "#595a5b",
    Emotion.SAD: "#2e6bd7",
    Emotion.SURPRISE: "#c3298d",
    UNCERTAIN: "#1b3236",
}
DARK: Final = {
    Emotion.ANGRY: "#f0493b",
    Emotion.CALM: "#78fcf0",
    Emotion.DISGUST: "#93e092",
    Emotion.FEAR: "#825ec7",
    Emotion.HAPPY: "#fcbb09",
    Emotion.NEUTRAL: "#b4b5b6",
    Emotion.SAD: "#6099de",
    Emotion.SURPRISE: "#d668a0",
    UNCERTAIN: "#497171",
}


def variables(colours: dict[Emotion | str, str]) -> str:
    """Colours as custom properties of CSS: ``--angry: #da2e1e; …``."""
    return " ".join(f"--{label}: {colour};" for label, colour in colours.items())


def stylesheet() -> str:
    """CSS that gives every emotion its colour, on the live page: by the system's theme, or the one chosen."""
    light, dark = variables(LIGHT), variables(DARK)
    by_system = f"@media (prefers-color-scheme: dark) {{ :root:not([data-theme]) {{ {dark} }} }}"
    chosen = f':root[data-theme="dark"] {{ {dark} }}'
    return f":root {{ {light} --other: var(--neutral); }}\n{by_system}\n{chosen}\n"
