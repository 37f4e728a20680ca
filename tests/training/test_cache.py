from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile
import yaml
from support.tiny_corpora import SPEECH, tiny_corpora, wav

from ser_agent.audio import SAMPLE_RATE, float_from_pcm16, pcm16_from_float
from training.cache import INDEX_FILE, SAMPLES_FILE, Cache
from training.cache_writer import build_cache
from training.corpora import Clip, CorpusError, read_clips
from training.decoding import decode, speech_by_level
from training.settings import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from training.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return tiny_corpora(tmp_path)


def own_clips(folder: Path, count: int = 1) -> Path:
    for number in range(count):
        target = folder / "sad" / f"{number}.opus"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SPEECH[number % len(SPEECH)], target)
    return folder


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are decoded from now on."""
    names: list[str] = []

    def noted(path: Path) -> NDArray[np.int16]:
        names.append(path.name)
        return decode(path)

    monkeypatch.setattr("training.cache_writer.decode", noted)
    return names


def test_the_cache_gives_what_the_files_hold(settings: Settings) -> None:
    build_cache(settings)
    cache = Cache(settings.cache_folder)
    clips = read_clips(settings)
    for clip, file in zip(clips, SPEECH, strict=False):
        np.testing.assert_array_equal(cache.whole(clip), decode(file))


def test_lossy_clips_are_decoded_at_one_go(tmp_path: Path) -> None:
    path = tmp_path / "long.ogg"
    speech = [float_from_pcm16(decode(file)) for file in SPEECH]
    soundfile.write(path, np.concatenate(speech), SAMPLE_RATE, format="OGG", subtype="OPUS")
    whole, _ = soundfile.read(path, dtype="float32")
    np.testing.assert_array_equal(decode(path), pcm16_from_float(whole))


def test_speech_is_cut_out_with_its_margins(settings: Settings, tmp_path: Path) -> None:
    speech = decode(SPEECH[0])
    silence = np.zeros(SAMPLE_RATE, dtype=np.int16)
    path = tmp_path / "own" / "sad" / "1.wav"
    wav(path, np.concatenate([silence, speech, silence]))
    settings = settings.model_copy(update={"data": (tmp_path / "own",)})
    build_cache(settings)
    cache = Cache(settings.cache_folder)
    clip = Clip(str(path), "own", "?", "sad", "train")
    assert len(cache.whole(clip)) == len(speech) + 2 * SAMPLE_RATE
    start, end = speech_by_level(speech)
    assert len(cache.trimmed(clip)) == pytest.approx(end - start + 0.5 * SAMPLE_RATE, abs=1_100)
    assert len(cache.trimmed(clip, 9.0, 9.0)) == len(cache.whole(clip))


def test_noise_and_rooms_come_by_part_and_licence(settings: Settings) -> None:
    build_cache(settings)
    cache = Cache(settings.cache_folder)

    def levels(*args: Any, **options: Any) -> list[float]:  # noqa: ANN401
        return [round(float(float_from_pcm16(noise).mean()) * 8) for noise in cache.noises(*args, **options)]

    assert levels("dev") == [1]
    assert levels("train") == [3]
    assert levels("train", non_commercial=True) == [3, 2]
    for part, length in (("train", 3_500), ("dev", 3_100)):
        (room,) = cache.rooms(part)  # type: ignore[arg-type]
        assert len(room) == length
        np.testing.assert_allclose(room[[0, 7]], [-1.0, 0.5], atol=1e-3)


def test_own_clips_are_added_without_decoding_all_anew(
    settings: Settings, tmp_path: Path, decoded: list[str]
) -> None:
    build_cache(settings)
    assert len(decoded) == 7
    decoded.clear()
    settings = settings.model_copy(update={"data": (own_clips(tmp_path / "own", 2),)})
    build_cache(settings)
    assert decoded == ["0.opus", "1.opus"]
    cache = Cache(settings.cache_folder)
    for clip in read_clips(settings):
        assert len(cache.whole(clip)) > SAMPLE_RATE


def test_a_file_that_was_changed_is_decoded_anew(settings: Settings, tmp_path: Path, decoded: list[str]) -> None:
    settings = settings.model_copy(update={"data": (own_clips(tmp_path / "own", 3),)})
    build_cache(settings)
    decoded.clear()
    changed = tmp_path / "own" / "sad" / "1.opus"
    shutil.copy(SPEECH[5], changed)
    build_cache(settings)
    assert decoded == ["1.opus"]
    clip = next(clip for clip in read_clips(settings) if clip.path == str(changed))
    np.testing.assert_array_equal(Cache(settings.cache_folder).whole(clip), decode(SPEECH[5]))


def test_a_clip_that_comes_to_be_for_the_figures_is_looked_at_again(
    settings: Settings, tmp_path: Path, decoded: list[str]
) -> None:
    table = tmp_path / "mine.csv"
    table.write_text(f"path,emotion,speaker,split\n{SPEECH[0]},sad,anna,train\n")
    settings = settings.model_copy(update={"data": (table,)})
    build_cache(settings)
    decoded.clear()
    table.write_text(table.read_text().replace("train", "dev"))
    build_cache(settings)
    assert decoded == [SPEECH[0].name]


def test_an_interruption_costs_only_the_file_that_was_being_decoded(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, decoded: list[str]
) -> None:
    def interrupted(path: Path) -> NDArray[np.int16]:
        if path.name == "b.opus":
            raise KeyboardInterrupt
        return decode(path)

    with monkeypatch.context() as patched:
        patched.setattr("training.cache_writer.decode", interrupted)
        with pytest.raises(KeyboardInterrupt):
            build_cache(settings)
    folder = settings.cache_folder
    with (folder / SAMPLES_FILE).open("ab") as samples, (folder / INDEX_FILE).open("a") as index:
        samples.write(b"half a recording, of an odd number of bytes")
        index.write('{"path": "crema-d/b.op')
    build_cache(settings)
    assert decoded == ["b.opus"]
    cache = Cache(folder)
    for clip, file in zip(read_clips(settings), SPEECH, strict=False):
        np.testing.assert_array_equal(cache.whole(clip), decode(file))


def test_entries_whose_samples_were_lost_are_decoded_anew(settings: Settings, decoded: list[str]) -> None:
    build_cache(settings)
    decoded.clear()
    path = settings.cache_folder / SAMPLES_FILE
    os.truncate(path, path.stat().st_size - 2)
    build_cache(settings)
    assert decoded == ["b.opus"]


def test_a_damaged_index_says_where_and_what_to_do(settings: Settings) -> None:
    build_cache(settings)
    index = settings.cache_folder / INDEX_FILE
    index.write_text(index.read_text().replace('"offset"', '"offset', 1))
    with pytest.raises(CorpusError, match=r"index\.jsonl:1: is damaged: .*; delete the cache's folder"):
        Cache(settings.cache_folder)


def test_few_broken_files_are_named_and_left_out(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    own = tmp_path / "own"
    for number in range(110):
        wav(own / "sad" / f"{number}.wav", np.full(2_000, 0.1))
    (own / "sad" / "17.wav").write_bytes(b"RIFF and then nothing")
    settings = settings.model_copy(update={"data": (own,)})
    build_cache(settings)
    printed = capsys.readouterr().out
    assert "17.wav: not an audio file that can be read" in printed
    assert "1 of 117 files cannot be decoded and are left out" in printed
    usable = Cache(settings.cache_folder).usable(read_clips(settings))
    assert len(usable) == 111
    assert "1 of 112 clips could not be decoded and are left out" in caplog.text


def test_more_than_one_in_a_hundred_broken_is_an_error_until_they_are_mended(
    settings: Settings, tmp_path: Path
) -> None:
    own = own_clips(tmp_path / "own", 2)
    broken = own / "sad" / "1.opus"
    broken.write_bytes(b"")
    settings = settings.model_copy(update={"data": (own,)})
    with pytest.raises(
        CorpusError, match=r"1\.opus: is empty\n1 of 9 files cannot be decoded: that is more than 1%"
    ):
        build_cache(settings)
    shutil.copy(SPEECH[0], broken)
    build_cache(settings)
    assert len(Cache(settings.cache_folder).usable(read_clips(settings))) == 4


def test_clips_that_were_never_cached_are_an_error_that_says_what_to_do(
    settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(CorpusError, match="holds no decoded sound; run `python -m training cache`"):
        Cache(settings.cache_folder)
    build_cache(settings)
    cache = Cache(settings.cache_folder)
    clips = read_clips(settings, [own_clips(tmp_path / "own", 2)])
    with pytest.raises(CorpusError, match=r"2 of 4 clips are not in it, .*0\.opus for one; run .* same --data"):
        cache.usable(clips)
    with pytest.raises(CorpusError, match=r"0\.opus is not in it; run"):
        cache.whole(clips[2])


def test_two_writers_do_not_meet(settings: Settings) -> None:
    settings.cache_folder.mkdir()
    with (settings.cache_folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(CorpusError, match="another process is writing to this cache"):
            build_cache(settings)


def test_a_limit_takes_some_of_everything(settings: Settings, tmp_path: Path, decoded: list[str]) -> None:
    settings = settings.model_copy(update={"data": (own_clips(tmp_path / "own", 5),)})
    build_cache(settings, limit=1)
    assert sorted(decoded) == ["0.opus", "a.opus", "a.wav", "b.wav", "n.wav", "n.wav", "n.wav"]


def run(settings: Settings, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """One command, with a configuration that has these settings."""
    config = settings.cache_folder.parent / "experiment.yaml"
    config.write_text(yaml.safe_dump({"corpora": str(settings.corpora), "cache": str(settings.cache)}))
    command = [sys.executable, "-m", "training", *map(str, arguments), "--config", str(config)]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)


def test_the_command_decodes_own_clips_and_maps_their_labels(settings: Settings, tmp_path: Path) -> None:
    own_clips(tmp_path / "own", 2).joinpath("sad").rename(tmp_path / "own" / "blue")
    done = run(settings, "cache", "--data", tmp_path / "own", "--map", "blue=sad", "red=skip", "--limit", "1")
    assert (done.returncode, "7 recordings, 7 of them new" in done.stdout) == (0, True), done
    assert "speakers of 2 of 2 clips are unknown" in done.stderr


def test_what_is_wrong_is_told_without_a_traceback(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("path,emotion\n1.wav,sad\n")
    done = run(settings, "cache", "--data", tmp_path / "mine.csv")
    assert (done.returncode, "mine.csv:2: path: there is no file" in done.stderr) == (78, True), done
    assert "Traceback" not in done.stderr
