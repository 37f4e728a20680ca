"""Where recordings lie: paths, and URIs that Arrow's file systems read."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("pyarrow")

from ser_agent.archives import places
from ser_agent.archives.places import find_recordings, located, sound
from ser_agent.audio_files import stream_file
from ser_agent.errors import AudioFileError, UnavailableError

DATA = Path(__file__).resolve().parents[1] / "data"
CLIPS = sorted(DATA.glob("*.opus"))


class Failing(io.RawIOBase):
    """A distant file whose connection breaks after so many bytes."""

    def __init__(self, content: bytes, breaks_after: int) -> None:
        self._content = io.BytesIO(content)
        self._breaks_after = breaks_after

    def size(self) -> int:
        return len(self._content.getvalue())

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any buffer
        if self._content.tell() >= self._breaks_after:
            raise ConnectionResetError(104, "connection reset by peer")
        part = self._content.read(min(len(buffer), 65_536))
        buffer[: len(part)] = part
        return len(part)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._content.seek(offset, whence)

    def tell(self) -> int:
        return self._content.tell()


def test_a_folder_and_its_uri_name_the_same_recordings_in_the_same_order() -> None:
    assert find_recordings(str(DATA)) == [str(clip) for clip in CLIPS]
    assert find_recordings(DATA.as_uri()) == [clip.as_uri() for clip in CLIPS]


def test_names_with_spaces_and_signs_are_found_and_read(tmp_path: Path) -> None:
    odd = tmp_path / "an evening #1?" / "ä 100%.wav"
    odd.parent.mkdir()
    soundfile.write(odd, np.ones(1_600, np.int16), 16_000)
    (name,) = find_recordings(odd.parent.as_uri())
    assert name == odd.as_uri()
    assert np.array_equal(np.concatenate(list(sound(name))), np.concatenate(list(stream_file(odd))))


@pytest.mark.parametrize("clip", CLIPS, ids=lambda clip: clip.stem)
def test_by_its_uri_a_recording_sounds_the_same(clip: Path) -> None:
    assert np.array_equal(np.concatenate(list(sound(clip.as_uri()))), np.concatenate(list(sound(str(clip)))))


@pytest.mark.parametrize("named", ["nowhere.wav", "nothing.wav", "text.wav"])
def test_by_its_uri_a_bad_file_is_told_with_the_same_reason(tmp_path: Path, named: str) -> None:
    (tmp_path / "nothing.wav").touch()
    (tmp_path / "text.wav").write_text("no sound at all")
    path = tmp_path / named
    told = []
    for name in (str(path), path.as_uri()):
        with pytest.raises(AudioFileError) as caught:
            list(sound(name))
        told.append(str(caught.value).removeprefix(f"{name}: "))
    assert told[0] == told[1]


def test_a_connection_that_breaks_is_no_end_of_the_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO()
    noise = np.random.default_rng(0).integers(-3000, 3000, 16_000 * 60).astype(np.int16)
    soundfile.write(content, noise, 16_000, format="WAV")

    class Distant:
        def open_input_file(self, path: str) -> Failing:
            return Failing(content.getvalue(), breaks_after=1_000_000)

    monkeypatch.setattr(places, "located", lambda name: (Distant(), name))
    heard: list[int] = []
    with pytest.raises(AudioFileError, match=r"^s3://bucket/evening\.wav: connection reset by peer$"):
        heard.extend(len(block) for block in sound("s3://bucket/evening.wav"))
    assert 16_000 < sum(heard) < len(noise)


def test_a_secret_in_a_uri_is_refused_without_being_repeated() -> None:
    with pytest.raises(UnavailableError) as caught:
        located("s3://AKIA123:geheim@bucket/evenings")
    assert "geheim" not in str(caught.value)
    assert "AWS_SECRET_ACCESS_KEY" in str(caught.value)


def test_a_file_system_that_nobody_knows_is_told() -> None:
    with pytest.raises(UnavailableError, match=r"^gopher://hole/evening: "):
        find_recordings("gopher://hole/evening")


def test_a_folder_without_recordings_is_told(tmp_path: Path) -> None:
    with pytest.raises(AudioFileError, match="a folder without audio files"):
        find_recordings(tmp_path.as_uri())
    with pytest.raises(AudioFileError, match="the name of a file is empty"):
        find_recordings("")
