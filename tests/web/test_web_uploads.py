"""What visitors send: within the limits, from the folder of uploads alone, and gone afterwards."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.sound_files import write_bad_ones, write_good_ones

from ser_agent.audio_files import read_utterance
from ser_agent.errors import AudioFileError
from ser_agent.web.uploads import Uploads, uploads

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = Path(__file__).parents[1] / "data"
CLIP = DATA / "1066_IOM_NEU_XX.opus"


@pytest.fixture
def folder() -> Iterator[Uploads]:
    with uploads() as made:
        yield made


def sent(folder: Uploads, file: Path) -> Path:
    """A file as the framework puts it: in a folder of its own."""
    place = folder.folder / file.stem
    place.mkdir()
    return Path(shutil.copy(file, place / file.name))


def test_every_kind_of_sound_file_is_taken_and_then_gone(folder: Uploads, tmp_path: Path) -> None:
    for name in write_good_ones(tmp_path, read_utterance(CLIP)):
        file = sent(folder, tmp_path / name)
        assert folder.size > 0
        assert len(folder.take(str(file), 60.0, "too long")) > 0
        assert list(folder.folder.iterdir()) == []


def test_what_cannot_be_heard_is_told_without_naming_the_folder_and_is_gone_too(
    folder: Uploads, tmp_path: Path
) -> None:
    write_bad_ones(tmp_path, read_utterance(CLIP))
    for path in sorted(tmp_path.glob("*.*")):
        if path.is_file() and path.name != "whole.wav":
            file = sent(folder, path)
            with pytest.raises(AudioFileError) as caught:
                folder.take(str(file), 60.0, "longer than 60 s")
            assert str(folder.folder) not in str(caught.value)
            assert list(folder.folder.iterdir()) == []


def test_a_recording_beyond_the_limit_is_refused_in_our_words(folder: Uploads) -> None:
    with pytest.raises(AudioFileError, match=r"^that much is too much$"):
        folder.take(str(sent(folder, CLIP)), 1.0, "that much is too much")


@pytest.mark.parametrize("path", [str(CLIP), "/etc/passwd", "", ".", "relative.wav", "http://example.org/x.wav"])
def test_nothing_outside_the_folder_is_read_or_deleted(folder: Uploads, path: str) -> None:
    with pytest.raises(AudioFileError, match="no uploaded file"):
        folder.take(path, 60.0, "too long")
    folder.forget(Path(path))
    assert CLIP.exists()
    assert folder.folder.exists()


def test_a_link_that_leads_outside_is_no_way_around(folder: Uploads) -> None:
    link = folder.folder / "link.wav"
    link.symlink_to(CLIP)
    with pytest.raises(AudioFileError, match="no uploaded file"):
        folder.take(str(link), 60.0, "too long")
    assert CLIP.exists()


def test_the_folder_is_for_its_owner_alone_and_goes_at_the_end() -> None:
    with uploads() as made:
        assert made.folder.stat().st_mode & 0o077 == 0
        (made.folder / "left-over.wav").write_bytes(b"x")
    assert not made.folder.exists()


def test_what_the_framework_leaves_beside_the_uploads_is_swept_away_and_they_stay(folder: Uploads) -> None:
    file = sent(folder, CLIP)
    (folder.folder / "tmp123").touch()
    folder.sweep()
    assert [path for path in folder.folder.rglob("*") if path.is_file()] == [file]
