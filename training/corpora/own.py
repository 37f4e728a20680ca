"""The users' own recordings: a folder with one folder for each emotion, or a CSV file."""

from __future__ import annotations

import csv
from io import StringIO
from typing import TYPE_CHECKING, Final

from ser_agent.audio_files import SUFFIXES
from training.corpora.clips import CORPUS_LABELS, CorpusError
from training.corpora.labels import SKIP, check_mapping, label_of, what_is_known
from training.corpora.manifest import NOISE, PLAIN_SPEECH
from training.corpora.parts import OwnRow, clips_in_parts
from training.decoding import FFMPEG_SUFFIXES

if TYPE_CHECKING:
    from _csv import Reader
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from training.corpora.clips import Clip, Part

_NEEDED: Final = ("path", "emotion")
_PARTS: Final[Mapping[str, Part]] = {
    "train": "train",
    "held": "held",
    "valid": "held",
    "validation": "held",
    "dev": "dev",
    "test": "dev",
}
_DELIMITERS: Final = ",;\t"
_SHOWN: Final = 20
_PUBLISHED: Final = frozenset({*CORPUS_LABELS, PLAIN_SPEECH, NOISE})


def read_own(paths: Sequence[Path], mapping: Mapping[str, str]) -> list[Clip]:
    """List the recordings of folders and CSV files.

    Args:
        paths: of folders with a folder for each emotion, and of CSV files with the columns ``path`` and
            ``emotion`` and, optionally, ``speaker``, ``corpus``, ``split`` and ``lang``.
        mapping: labels by names of classes that are not known, or that shall mean something else.

    Raises:
        CorpusError: something is wrong; the message names every place.
    """
    check_mapping(mapping, "label_map")
    rows: list[OwnRow] = []
    problems = _Problems()
    for path in paths:
        read = _rows_of_folder if path.is_dir() else _rows_of_csv
        rows += read(path, mapping, problems)
    seen: dict[str, OwnRow] = {}
    for row in rows:
        if (other := seen.setdefault(row.path, row)) is not row:
            problems.add(f"{row.where}: path: {row.name} was named before, at {other.where}")
    problems.complain()
    return clips_in_parts(rows)


class _Problems:
    """Gathers what is wrong, so that it can be mended in one go."""

    def __init__(self) -> None:
        self._messages: list[str] = []
        self._unknown_label = False

    def add(self, message: str) -> None:
        self._messages.append(message)

    def label(self, name: str, mapping: Mapping[str, str], where: str) -> str:
        """Find a label; where there is none, ``SKIP``."""
        label = label_of(name, mapping)
        if label is None:
            self._unknown_label = True
            self.add(f"{where}: {name!r} is no emotion that is known")
        return label or SKIP

    def __bool__(self) -> bool:
        return bool(self._messages)

    def complain(self) -> None:
        if not self._messages:
            return
        lines = self._messages[:_SHOWN]
        if len(self._messages) > _SHOWN:
            lines.append(f"and {len(self._messages) - _SHOWN} more like these")
        if self._unknown_label:
            lines.append(f"Known are: {what_is_known()}. Others need --map, such as --map bored=neutral")
        raise CorpusError("\n".join(lines))


def _rows_of_folder(folder: Path, mapping: Mapping[str, str], problems: _Problems) -> list[OwnRow]:
    """``<emotion>/…/<file>``, or ``<emotion>/<speaker>/…/<file>``."""
    corpus = folder.resolve().name
    if message := _wrong_corpus(corpus):
        problems.add(f"{folder}: {message}; name the folder otherwise")
    rows: list[OwnRow] = []
    for inside in sorted(folder.iterdir()):
        if not inside.is_dir() or inside.name.startswith("."):
            continue
        files = [file for file in sorted(inside.rglob("*")) if _is_sound(file)]
        label = problems.label(inside.name, mapping, str(inside)) if files else SKIP
        if label != SKIP:
            rows += [_row_of_file(file, folder, corpus, label) for file in files]
    if not rows and not problems:
        problems.add(f"{folder}: holds no folder that is called as an emotion and has sound files in it")
    return rows


def _is_sound(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES | FFMPEG_SUFFIXES and file.is_file() and not file.name.startswith(".")


def _row_of_file(file: Path, folder: Path, corpus: str, label: str) -> OwnRow:
    inner = file.relative_to(folder)
    speaker = inner.parts[1] if len(inner.parts) > 2 else None
    return OwnRow(str(file), str(file.resolve()), str(inner), corpus, label, speaker, None, "")


def _rows_of_csv(path: Path, mapping: Mapping[str, str], problems: _Problems) -> list[OwnRow]:
    rows: list[OwnRow] = []
    for line, values in _lines(path):
        where = f"{path}:{line}"
        if values is None:
            problems.add(f"{where}: has not as many fields as the first line")
        elif row := _row_of_line(values, path, where, mapping, problems):
            rows.append(row)
    if not rows and not problems:
        problems.add(f"{path}: names no recordings")
    return rows


def _lines(path: Path) -> Iterator[tuple[int, dict[str, str] | None]]:
    """The lines' numbers and their fields by column; None where there are too few fields or too many."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CorpusError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path}: is not a CSV file in UTF-8") from error
    header = text.partition("\n")[0]
    reader = csv.reader(StringIO(text, newline=""), delimiter=max(_DELIMITERS, key=header.count))
    try:
        yield from _fields(path, reader)
    except csv.Error as error:
        raise CorpusError(f"{path}:{reader.line_num}: {error}") from error


def _fields(path: Path, reader: Reader) -> Iterator[tuple[int, dict[str, str] | None]]:
    columns = [name.strip().lower() for name in next(reader, [])]
    if missing := [name for name in _NEEDED if name not in columns]:
        raise CorpusError(f"{path}:1: lacks the column {' and '.join(missing)}; there are: {', '.join(columns)}")
    if twice := {name for name in columns if name and columns.count(name) > 1}:
        raise CorpusError(f"{path}:1: has two columns {', '.join(sorted(twice))}")
    for fields in reader:
        if not any(field.strip() for field in fields):
            continue
        fits = len(fields) == len(columns)
        yield reader.line_num, dict(zip(columns, map(str.strip, fields), strict=True)) if fits else None


def _row_of_line(
    values: Mapping[str, str], source: Path, where: str, mapping: Mapping[str, str], problems: _Problems
) -> OwnRow | None:
    label = problems.label(values["emotion"], mapping, f"{where}: emotion")
    file = source.parent / values["path"]
    corpus = values.get("corpus") or source.stem
    if message := _wrong_corpus(corpus):
        problems.add(f"{where}: corpus: {message}; name yours otherwise in a column 'corpus'")
    part = _part(values.get("split", ""), where, problems)
    if not file.is_file():
        problems.add(f"{where}: path: {f'there is no file {file}' if values['path'] else 'is empty'}")
        return None
    if label == SKIP:
        return None
    return OwnRow(
        where=where,
        path=str(file.resolve()),
        name=values["path"],
        corpus=corpus,
        emotion=label,
        speaker=values.get("speaker") or None,
        part=part,
        lang=values.get("lang", ""),
    )


def _part(name: str, where: str, problems: _Problems) -> Part | None:
    if not name:
        return None
    part = _PARTS.get(name.lower())
    if part is None:
        problems.add(f"{where}: split: {name!r} is none of {', '.join(_PARTS)}")
    return part


def _wrong_corpus(name: str) -> str | None:
    """What is wrong with it: its speakers would be taken for those of a published one."""
    return f"{name!r} is the name of a published corpus" if name in _PUBLISHED else None
