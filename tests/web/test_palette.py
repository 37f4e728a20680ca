"""The emotions' colours: computed, not looked at."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ser_agent.labels import EMOJI
from ser_agent.palette import DARK, DARK_CARD, LIGHT, LIGHT_CARD, stylesheet

LEAST_CONTRAST = 3.0
"""WCAG 2.2, 1.4.11: what graphics need."""
LEAST_DIFFERENCE = 0.05
"""Distance in OKLab; 0.02 is about what can just be told apart."""
SIGHTS = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.01182, 0.04294, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.3039],
    ],
}
"""Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB."""
TO_LMS = np.array([[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.63]])
TO_LAB = np.array([[0.2105, 0.7936, -0.0041], [1.978, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]])
THEMES = pytest.mark.parametrize(
    ("colours", "card"), [(LIGHT, LIGHT_CARD), (DARK, DARK_CARD)], ids=["light", "dark"]
)


def linear(colour: str) -> np.ndarray:
    """Linear RGB, each 0 to 1."""
    part = np.array([int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)])
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


def luminance(colour: str) -> float:
    return float(linear(colour) @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@THEMES
def test_every_emotion_has_a_colour_that_stands_out_from_the_card(colours: dict[str, str], card: str) -> None:
    assert colours.keys() == EMOJI.keys()
    for label, colour in colours.items():
        assert contrast(colour, card) >= LEAST_CONTRAST, label


@pytest.mark.parametrize("sight", SIGHTS)
@THEMES
def test_any_two_colours_can_be_told_apart(colours: dict[str, str], card: str, sight: str) -> None:
    seen = {
        label: TO_LAB @ np.cbrt(TO_LMS @ np.clip(np.asarray(SIGHTS[sight]) @ linear(colour), 0, 1))
        for label, colour in colours.items()
    }
    for one, other in itertools.combinations(seen, 2):
        assert np.linalg.norm(seen[one] - seen[other]) >= LEAST_DIFFERENCE, (one, other)


def test_the_style_sheet_names_every_emotion_in_both_themes() -> None:
    sheet = stylesheet()
    for label in EMOJI:
        assert f"--{label}: {LIGHT[label]};" in sheet
        assert sheet.count(f"--{label}: {DARK[label]};") == 2  # by the system, and by choice
