"""Which noises, rooms and plain speakers are for training and which for the final figures: decided once, here."""

from __future__ import annotations

from typing import Final

DEV_NOISE_CLASSES: Final = frozenset(
    {"cafe-babble", "cat", "coughing", "dishes", "dog", "door-wood-creaks", "rain", "siren", "vacuum-cleaner"}
)
"""Whole classes, since several clips of one class may come from one recording."""

DEV_ROOMS: Final = frozenset({"room-b"})
"""One of the measured rooms of homes and offices. The warehouse is no home and is for neither."""


def is_dev_noise(noise_class: str) -> bool:
    """Say whether noise of this class is for the final figures, and never trained on."""
    return noise_class in DEV_NOISE_CLASSES


def is_dev_room(room: str) -> bool:
    """Say whether this room is for the final figures, and never trained on."""
    return room in DEV_ROOMS


def is_dev_plain_speaker(speaker: str) -> bool:
    """Say whether this reader of plain speech is for the final figures: every fifth one, as in CREMA-D."""
    return int(speaker) % 5 == 1
