from __future__ import annotations

import shutil
from collections import Counter
from typing import TYPE_CHECKING

import pytest
import yaml
from support.small_corpora import DATA

from ser_agent.labels import canonical_label
from training.corpora import CorpusError, read_clips, read_own
from training.corpora.labels import SYNONYMS, label_of, read_mapping
from training.corpora.parts import DEV_SHARE, HELD_SHARE, part_by_hash
from training.settings import ROOT, Settings

if TYPE_CHECKING:
    from pathlib import Path

GUIDE = ROOT / "docs" / "training-own-clips.md"
CLIP = DATA / "1061_IEO_ANG_LO.opus"


def sound(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(CLIP, path)
    return path


def table(folder: Path, text: str, name: str = "mine.csv", encoding: str = "utf-8") -> Path:
    """A CSV file, and a recording for every path in its first column."""
    path = folder / name
    path.write_text(text, encoding=encoding)
    for line in text.splitlines()[1:]:
        if file := line.partition(",")[0]:
            sound(folder / file)
    return path


def speakers_table(folder: Path, speakers: int) -> Path:
    rows = "".join(f"{n}{take}.opus,sad,voice {n}\n" for n in range(speakers) for take in "ab")
    return table(folder, f"path,emotion,speaker\n{rows}")


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("ang", "angry"),
        ("Anger", "angry"),
        ("joy", "happy"),
        ("fearful", "fear"),
        ("calm", "neutral"),
        ("pleasant_surprise", "surprise"),
        ("non-speech", "noise"),
        ("Freude", "happy"),
        ("bored", None),
        ("", None),
    ],
)
def test_names_that_people_use_mean_our_labels(name: str, label: str | None) -> None:
    assert label_of(name, {}) == label


def test_no_synonym_contradicts_what_the_agent_takes_it_for() -> None:
    for label, names in SYNONYMS.items():
        for name in names:
            found = canonical_label(name)
            assert found is None or label_of(name, {}) == label
            assert found in {None, label} or (found, label) == ("calm", "neutral")


def test_the_documentation_lists_the_names_as_they_are() -> None:
    for label, names in SYNONYMS.items():
        assert f"| `{label}` | {', '.join(names)} |" in GUIDE.read_text(encoding="utf-8")


def example(language: str) -> str:
    """The guide's only example in a language."""
    _, start, rest = GUIDE.read_text(encoding="utf-8").partition(f"```{language}\n")
    assert start
    return rest.partition("```")[0]


def test_the_guides_table_is_read(tmp_path: Path) -> None:
    clips = read_own([table(tmp_path, example("csv"))], {})
    assert [(clip.speaker, clip.emotion, clip.part) for clip in clips] == [
        ("anna", "angry", "train"),
        ("anna", "happy", "train"),
        ("ben", "neutral", "held"),
        ("cem", "sad", "dev"),
    ]


def test_the_guides_experiment_is_valid() -> None:
    settings = Settings.model_validate(yaml.safe_load(example("yaml")))
    assert (settings.start_folder / "config.json").is_file()
    assert label_of("bored", settings.label_map) == "neutral"


def test_what_the_user_maps_comes_first() -> None:
    mapping = read_mapping(["bored=neutral", "Calm = sad"])
    assert label_of("Bored", mapping) == "neutral"
    assert label_of("calm", mapping) == "sad"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bored", "not of the form NAME=LABEL"),
        ("bored=dull", "'bored' is mapped to 'dull', which is none of angry"),
    ],
)
def test_a_mapping_to_nothing_is_an_error(text: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        read_mapping([text])


def test_a_folder_of_classes_is_read_with_speakers_where_it_has_folders_for_them(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    for name in (
        "anger/anna/1.wav",
        "anger/ben/x/2.WAV",
        "joy/3.m4a",
        "joy/notes.txt",
        "joy/.hidden.wav",
        "empty/x",
    ):
        sound(folder / name)
    clips = read_own([folder], {})
    assert [(clip.corpus, clip.emotion, clip.speaker) for clip in clips] == [
        ("home", "angry", "anna"),
        ("home", "angry", "ben"),
        ("home", "happy", "unknown:joy/3.m4a"),
    ]
    assert clips[0].path == str(folder / "anger/anna/1.wav")


def test_an_unknown_class_is_an_error_that_lists_what_is_known_and_can_be_mapped(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    for name in ("sad/1.wav", "bored/2.wav", "odd/3.wav"):
        sound(folder / name)
    with pytest.raises(
        CorpusError, match=r"(?s)home/bored: 'bored' is no emotion.*home/odd.*fearful.*--map bored="
    ):
        read_own([folder], {})
    clips = read_own([folder], {"bored": "neutral", "odd": "skip"})
    assert sorted(clip.emotion for clip in clips) == ["neutral", "sad"]


def test_a_folder_without_classes_is_an_error(tmp_path: Path) -> None:
    sound(tmp_path / "1.wav")
    with pytest.raises(CorpusError, match="holds no folder that is called as an emotion"):
        read_own([tmp_path], {})


def test_a_table_gives_paths_beside_it_and_what_else_it_says(tmp_path: Path) -> None:
    path = table(
        tmp_path,
        "path,emotion,speaker,corpus,split,lang\nx/a.opus,joy,anna,kitchen,train,de\n"
        "b.opus,Fear,ben,kitchen,validation,\n\nc.opus,sad,cem,,test,tr\n",
    )
    clips = read_own([path], {})
    assert [(clip.emotion, clip.speaker, clip.corpus, clip.part, clip.lang) for clip in clips] == [
        ("happy", "anna", "kitchen", "train", "de"),
        ("fear", "ben", "kitchen", "held", ""),
        ("sad", "cem", "mine", "dev", "tr"),
    ]
    assert clips[0].path == str(tmp_path / "x" / "a.opus")
    assert all(clips[0].allowed())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_tables_as_spreadsheets_write_them_are_read(tmp_path: Path, delimiter: str, encoding: str) -> None:
    sound(tmp_path / "a b.opus")
    text = 'Path,Emotion , note\r\n"a b.opus",sad,"two\r\nlines"\r\n'.replace(",", delimiter)
    path = table(tmp_path, text, encoding=encoding)
    assert [clip.emotion for clip in read_own([path], {})] == ["sad"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.opus,bored,anna,", r"mine\.csv:3: emotion: 'bored' is no emotion that is known"),
        ("none.opus,sad,anna,", r"mine\.csv:3: path: there is no file .*none\.opus"),
        (",sad,anna,", r"mine\.csv:3: path: is empty"),
        ("a.opus,sad,anna,maybe", r"mine\.csv:3: split: 'maybe' is none of train, held"),
        ("a.opus,sad", r"mine\.csv:3: has not as many fields as the first line"),
        ("a.opus,sad,anna,train,x", r"mine\.csv:3: has not as many fields as the first line"),
        ("first.opus,sad,anna,", r"mine\.csv:3: path: first\.opus was named before, at .*mine\.csv:2"),
        ("a.opus,sad,ben,dev", r"mine\.csv:3: split: speaker 'ben' is in 'dev' here and in 'train' at .*:2"),
    ],
)
def test_a_bad_row_is_named_by_file_line_and_column(tmp_path: Path, row: str, message: str) -> None:
    path = table(tmp_path, "path,emotion,speaker,split\nfirst.opus,sad,ben,train\n")
    path.write_text(f"{path.read_text()}{row}\n")
    sound(tmp_path / "a.opus")
    with pytest.raises(CorpusError, match=message):
        read_own([path], {})


def test_all_bad_rows_are_told_at_once_but_not_thousands(tmp_path: Path) -> None:
    path = table(tmp_path, "path,emotion\n")
    path.write_text("path,emotion\n" + "".join(f"{n}.opus,sad\n" for n in range(500)))
    with pytest.raises(CorpusError) as caught:
        read_own([path], {})
    lines = str(caught.value).splitlines()
    assert len(lines) == 21
    assert lines[-1] == "and 480 more like these"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,feeling\na.opus,sad\n", "mine.csv:1: lacks the column emotion; there are: path, feeling"),
        ("", "lacks the column path and emotion"),
        ("path,emotion,path\n", "mine.csv:1: has two columns path"),
        (f"path,emotion\n,{'x' * 200_000}\n", "mine.csv:2: field larger than field limit"),
        ("path,emotion\n", "mine.csv: names no recordings"),
    ],
)
def test_a_table_that_is_none_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        read_own([table(tmp_path, text)], {})


def test_what_is_no_text_or_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="is not a CSV file in UTF-8"):
        read_own([CLIP], {})
    with pytest.raises(CorpusError, match=r"none\.csv: no such file"):
        read_own([tmp_path / "none.csv"], {})


def test_own_clips_are_not_taken_for_those_of_a_published_corpus(tmp_path: Path) -> None:
    path = table(tmp_path, "path,emotion\na.opus,sad\n", name="ravdess.csv")
    with pytest.raises(CorpusError, match=r"ravdess\.csv:2: corpus: 'ravdess' is the name of a published corpus"):
        read_own([path], {})


def test_no_speaker_is_in_two_parts_and_every_part_has_some(tmp_path: Path) -> None:
    clips = read_own([speakers_table(tmp_path, 40)], {})
    parts = {(clip.speaker, clip.part) for clip in clips}
    assert len(parts) == 40
    assert set(Counter(part for _, part in parts)) == {"train", "held", "dev"}


@pytest.mark.parametrize("corpus", "abcdefghijkl")
@pytest.mark.parametrize(
    ("speakers", "parts", "missing"),
    [
        (1, {"train"}, "'held' and 'dev'"),
        (2, {"train", "held"}, "'dev'"),
        (3, {"train", "held", "dev"}, ""),
        (4, {"train", "held", "dev"}, ""),
    ],
)
def test_few_speakers_go_where_they_are_needed_most(  # noqa: PLR0913, PLR0917
    tmp_path: Path, corpus: str, speakers: int, parts: set[str], missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = speakers_table(tmp_path, speakers).rename(tmp_path / f"{corpus}.csv")
    assert {clip.part for clip in read_own([path], {})} == parts
    assert (f"nobody is in {missing}" if missing else "") in caplog.text
    assert bool(caplog.text) == bool(missing)


def test_where_parts_are_asked_for_nobody_is_moved_to_fill_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = table(tmp_path, "path,emotion,split\n" + "".join(f"{n}.opus,sad,train\n" for n in range(9)))
    assert {clip.part for clip in read_own([path], {})} == {"train"}
    assert "nobody is in 'held' and 'dev'" in caplog.text
    assert "unknown" not in caplog.text


def test_what_is_said_of_one_clip_holds_for_all_of_its_speaker(tmp_path: Path) -> None:
    rows = "".join(f"{n}.opus,sad,anna,{'dev' if n == 3 else ''}\n" for n in range(6))
    clips = read_own([table(tmp_path, f"path,emotion,speaker,split\n{rows}")], {})
    assert {clip.part for clip in clips} == {"dev"}


def test_a_hash_deals_out_the_shares() -> None:
    counts = Counter(part_by_hash("mine", str(n)) for n in range(20_000))
    assert counts["dev"] / 20_000 == pytest.approx(DEV_SHARE, abs=0.01)
    assert counts["held"] / 20_000 == pytest.approx(HELD_SHARE, abs=0.01)


def test_unknown_speakers_are_split_at_random_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = "".join(f"{n}.opus,sad\n" for n in range(60))
    clips = read_own([table(tmp_path, f"path,emotion\n{rows}")], {})
    assert {clip.part for clip in clips} == {"train", "held", "dev"}
    assert "mine: the speakers of 60 of 60 clips are unknown" in caplog.text
    assert "flatter" in caplog.text


def test_own_clips_do_without_the_published_corpora(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = speakers_table(tmp_path, 3)
    settings = Settings(corpora=tmp_path / "none", held_out={"ravdess": ("09",), "mine": ("voice 1",)})
    clips = read_clips(settings.model_copy(update={"data": (path,)}))
    assert len(clips) == 6
    assert "your own clips alone" in caplog.text
    assert clips == read_clips(settings, [path])
