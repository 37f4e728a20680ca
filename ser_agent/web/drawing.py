"""Reports as HTML: plain functions from a report to text. Whatever came from outside is escaped."""

from __future__ import annotations

import base64
import io
import itertools
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

import numpy as np
import soundfile

from ser_agent.audio import FULL_SCALE, SAMPLE_RATE
from ser_agent.labels import EMOJI
from ser_agent.page_texts import texts
from ser_agent.translations import emoji, friendly

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ser_agent.audio import Samples
    from ser_agent.messages import EmotionScore
    from ser_agent.page_texts import PageLanguage
    from ser_agent.web.hearing import Part, Report

COLUMNS: Final = 240
"""Bars of the waveform."""
TOP: Final = 3
SILENT_EMOJI: Final = "🔇"
LEAST_WIDTH_PERCENT: Final = 1.8
"""An utterance that takes less of the drawing's width than this has no room for its emoji."""


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of one language, as the drawings need them.

    Attributes:
        language: which.
    """

    language: PageLanguage

    def __call__(self, key: str, **values: object) -> str:
        """A text, escaped, with values in it."""
        return escape(texts(self.language)[key].format(**values))

    def name(self, label: str | None) -> str:
        """The name of an emotion, escaped; of None: that nobody spoke."""
        return self("no_speech") if label is None else escape(friendly(label, self.language))

    def remarks(self, reasons: Iterable[str]) -> str:
        """What makes an answer doubtful, in a word each."""
        return ", ".join(self(reason.replace("reason", "remark")) for reason in reasons)


def tone(label: str | None) -> str:
    """The CSS value of an emotion's colour."""
    return f"var(--{label})" if label in EMOJI else "var(--other)"


def sign(label: str | None) -> str:
    """The emoji of an emotion, hidden from screen readers: its name stands beside it."""
    shown = SILENT_EMOJI if label is None else emoji(label)
    return f'<span class="emo" aria-hidden="true">{shown}</span>'


def draw_empty(words: Words) -> str:
    """What stands where nothing was heard yet."""
    return f'<div class="sa-empty"><span class="emo" aria-hidden="true">👂</span><p>{words("empty")}</p></div>'


def draw_trouble(words: Words, reason: str) -> str:
    """What stands where a recording cannot be heard at all.

    Args:
        words: of the reader's language.
        reason: why.
    """
    what = words("failed_file")
    return f'<div class="sa-trouble" role="alert"><strong>{what}</strong><p>{escape(reason)}</p></div>'


def draw_report(words: Words, report: Report) -> str:
    """Everything there is to say of a recording."""
    pieces = [
        _draw_hero(words, report),
        _draw_top(words, report.scores[:TOP]) if report.scores else "",
        _draw_reasons(words, report),
        _draw_course(words, report),
        _draw_bars(words, report.scores) if report.scores else "",
        _draw_table(words, report.parts) if report.parts else "",
        f'<p class="sa-note">{words("threshold_told", threshold=report.threshold, model=report.model)}</p>',
    ]
    return f'<div class="sa-report">{"".join(pieces)}</div>'


def _draw_hero(words: Words, report: Report) -> str:
    spoken = [part for part in report.parts if part.scores]
    speech_s = sum(part.duration_s for part in spoken)
    key = "utterance_one" if len(spoken) == 1 else "utterance_count"
    note = words(key, count=len(spoken), speech_s=speech_s)
    return (
        f'<div class="sa-hero" role="status" style="--tone: {tone(report.emotion)}">{sign(report.emotion)}'
        f'<div><p class="sa-name">{words.name(report.emotion)}</p><p class="sa-note">{note}</p></div></div>'
    )


def _draw_top(words: Words, scores: Iterable[EmotionScore]) -> str:
    rows = "".join(
        f'<li style="--tone: {tone(score.label)}">{sign(score.label)} <span>{words.name(score.label)}</span> '
        f"<b>{score.score:.0%}</b></li>"
        for score in scores
    )
    return f'<h2>{words("top_three")}</h2><ol class="sa-top">{rows}</ol>'


def _draw_bars(words: Words, scores: Iterable[EmotionScore]) -> str:
    """The whole distribution."""
    rows = "".join(
        f"<li><span>{sign(score.label)} {words.name(score.label)}</span>"
        f'<span class="sa-bar" aria-hidden="true"><span style="width: {score.score:.1%}; '
        f'background: {tone(score.label)}"></span></span><span class="sa-share">{score.score:.0%}</span></li>'
        for score in scores
    )
    return f'<h2>{words("all_emotions")}</h2><ol class="sa-bars">{rows}</ol>'


def _draw_reasons(words: Words, report: Report) -> str:
    if not report.reasons:
        return ""
    rows = "".join(f"<li>{words(reason)}</li>" for reason in report.reasons)
    return f'<div class="sa-reasons"><h2>{words("why")}</h2><ul>{rows}</ul></div>'


def _draw_course(words: Words, report: Report) -> str:
    """The waveform with the utterances over it, and a player."""
    total_s = report.duration_s
    marks = "".join(_draw_mark(words, part, total_s) for part in report.parts)
    source = f"data:audio/wav;base64,{base64.b64encode(as_wav(report.samples)).decode()}"
    return (
        f'<h2>{words("over_time")}</h2><div class="sa-course">'
        f'<div class="sa-marks" aria-hidden="true">{marks}</div>{draw_waveform(report)}</div>'
        f'<div class="sa-scale" aria-hidden="true"><span>0 s</span><span>{total_s / 2:.1f} s</span>'
        f'<span>{total_s:.1f} s</span></div><audio controls preload="metadata" src="{source}" '
        f'aria-label="{words("play")}"></audio>'
    )


def _draw_mark(words: Words, part: Part, total_s: float) -> str:
    left, width = 100 * part.start_s / total_s, 100 * part.duration_s / total_s
    shown = sign(part.emotion) if width >= LEAST_WIDTH_PERCENT else ""
    return (
        f'<div class="sa-mark" title="{words.name(part.emotion)}" style="left: {left:.2f}%; width: {width:.2f}%; '
        f'--tone: {tone(part.emotion)}">{shown}</div>'
    )


def draw_waveform(report: Report, columns: int = COLUMNS) -> str:
    """The sound's envelope as SVG: bars in the colour of the utterance that they belong to.

    Args:
        report: what was heard.
        columns: how many bars at most.
    """
    samples = report.samples
    count = max(1, min(columns, len(samples)))
    edges = np.linspace(0, len(samples), count + 1).astype(int)
    loud = np.array([_peak(samples[start:end]) for start, end in itertools.pairwise(edges)])
    loud = loud / max(float(loud.max()), 0.05)
    bars = []
    for column, height in enumerate(loud):
        middle_s = (edges[column] + edges[column + 1]) / 2 / SAMPLE_RATE
        part = next((part for part in report.parts if part.start_s <= middle_s <= part.end_s), None)
        fill = "var(--sa-rest)" if part is None else tone(part.emotion)
        tall = max(2.0, 92 * float(height))
        bars.append(
            f'<rect x="{column * 4 + 0.6:.1f}" y="{50 - tall / 2:.1f}" width="2.8" height="{tall:.1f}" rx="1.2" '
            f'style="fill: {fill}"/>'
        )
    return (
        f'<svg viewBox="0 0 {count * 4} 100" preserveAspectRatio="none" aria-hidden="true">{"".join(bars)}</svg>'
    )


def _peak(samples: Samples) -> float:
    return float(np.abs(samples.astype(np.float64)).max(initial=0.0)) / FULL_SCALE


def as_wav(samples: Samples) -> bytes:
    """Samples as a WAV file in memory."""
    file = io.BytesIO()
    soundfile.write(file, samples, SAMPLE_RATE, format="WAV", subtype="PCM_16")
    return file.getvalue()


def _draw_table(words: Words, parts: Iterable[Part]) -> str:
    heads = ("column_time", "column_emotion", "column_confidence", "column_next", "column_note")
    rows = "".join(
        f'<tr><td class="sa-number">{part.start_s:.1f} – {part.end_s:.1f} s</td>'
        f"<td>{sign(part.emotion)} {words.name(part.emotion)}</td>{_scores_cells(words, part.scores)}"
        f"<td>{words.remarks(part.reasons)}</td></tr>"
        for part in parts
    )
    return draw_table(words("utterances_table"), [words(head) for head in heads], rows)


def _scores_cells(words: Words, scores: tuple[EmotionScore, ...]) -> str:
    best = f"{scores[0].score:.0%}" if scores else ""
    others = ", ".join(f"{words.name(score.label)} {score.score:.0%}" for score in scores[1:TOP])
    return f'<td class="sa-number">{best}</td><td>{others}</td>'


def draw_table(caption: str, heads: Iterable[str], rows: str) -> str:
    """A table that scrolls sideways on a small screen.

    Args:
        caption: what it is, escaped.
        heads: of its columns, escaped.
        rows: HTML.
    """
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    return (
        f'<div class="sa-table" tabindex="0" role="region" aria-label="{caption}"><table>'
        f"<caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
