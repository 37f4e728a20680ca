"""Whether a device delivers what it should: signs of a mute in its mixer, too much gain, a clock that is off."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

log = logging.getLogger(__name__)

SILENT_S = 60
"""A microphone that is open to a room delivers some noise: nothing but zeros for so long is told."""
WINDOW_S = 60.0
"""Clipping and pace are judged over so much sound."""
CLIPS_AT = 32_767
CLIPPED_SAMPLES = 3
"""So many samples at full scale in a block are no coincidence."""
CLIPPED_SHARE = 0.05
"""Share of the blocks that clip from which on somebody should turn the gain down."""
PACE_TOLERANCE = 0.1
"""How far a device's clock may be off: what comes in bursts shifts a window's borders by some seconds."""
REPEAT_S = 3600.0
"""The same is not told again so soon: what cancels noise may give nothing but zeros whenever nobody speaks."""


class Block(NamedTuple):
    """What a device delivers at a time.

    Attributes:
        position: number of the first sample of each channel since the device opened; those lost count.
        captured_at: monotonic time in seconds of the first sample.
        data: interleaved int16.
    """

    position: int
    captured_at: float
    data: bytes


class SoundCheck:
    """Looks at each block. Tells what is wrong, and counts it. In one thread, but for ``counts``."""

    def __init__(self) -> None:
        self._name = ""
        self._silent_s = 0.0
        self._clipped_blocks = 0
        self._pace = 1.0
        self._now_s = 0.0
        self._told: set[str] = set()
        self._quiet_until_s: dict[str, float] = {}
        self._window_began: tuple[float, float] | None = None
        self._window_blocks = 0
        self._window_clipped = 0

    def begin(self, name: str) -> None:
        """A device has been opened.

        Args:
            name: of the device.
        """
        self._name = name
        self._silent_s = 0.0
        self._told.clear()
        self._forget_window()

    def hear(self, block: Block, rate: int, channels: int) -> None:
        """Look at a block.

        Args:
            block: as the device has delivered it.
            rate: samples per second of each channel.
            channels: how many.
        """
        self._now_s = block.captured_at
        samples = np.frombuffer(block.data, dtype=np.int16)
        self._silent_s = 0.0 if samples.any() else self._silent_s + len(samples) / (rate * channels)
        silent = f"has delivered nothing but zeros for {SILENT_S} s: is it muted, or its gain at zero?"
        self._judge("silence", self._silent_s >= SILENT_S, silent)
        clips = bool(np.count_nonzero((samples >= CLIPS_AT) | (samples <= -CLIPS_AT)) >= CLIPPED_SAMPLES)
        self._clipped_blocks += clips
        self._window_clipped += clips
        self._window_blocks += 1
        position_s = block.position / rate
        if self._window_began is None:
            self._window_began = (position_s, block.captured_at)
        sound_s, took_s = position_s - self._window_began[0], block.captured_at - self._window_began[1]
        if max(sound_s, took_s) >= WINDOW_S:
            self._judge_window(sound_s, took_s)
            self._forget_window()

    def counts(self) -> Mapping[str, int]:
        """What to tell of it: for how many seconds now nothing but zeros, blocks that clipped, pace in percent."""
        return {
            "silent_s": int(self._silent_s),
            "clipped_blocks": self._clipped_blocks,
            "pace_percent": round(100 * self._pace),
        }

    def _judge_window(self, sound_s: float, took_s: float) -> None:
        share = self._window_clipped / self._window_blocks
        self._judge(
            "clipping", share >= CLIPPED_SHARE, f"is too loud in {share:.0%} of its sound: turn its gain down"
        )
        self._pace = sound_s / max(1e-3, took_s)
        off = abs(self._pace - 1.0) > PACE_TOLERANCE
        self._judge("wrong pace", off, f"delivers {self._pace:.2f} s of sound a second, which distorts it")

    def _judge(self, fault: str, there: bool, what: str) -> None:  # noqa: FBT001 - the finding
        if not there:
            if fault in self._told:
                log.info("microphone %r: no %s any more", self._name, fault)
            self._told.discard(fault)
        elif fault not in self._told and self._now_s >= self._quiet_until_s.get(fault, -math.inf):
            self._told.add(fault)
            self._quiet_until_s[fault] = self._now_s + REPEAT_S
            log.warning("microphone %r %s", self._name, what)

    def _forget_window(self) -> None:
        self._window_began = None
        self._window_blocks = 0
        self._window_clipped = 0
