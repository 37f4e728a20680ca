"""The page itself: what is on it, and what its buttons do."""

from __future__ import annotations

import logging
from collections.abc import Sequence  # noqa: TC003 - the framework reads the annotations
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import gradio as gr

from ser_agent.errors import AudioFileError, SerAgentError
from ser_agent.page_texts import PAGE_LANGUAGES, PageLanguage, texts
from ser_agent.translations import emoji, friendly
from ser_agent.web.batch import Row, draw_batch
from ser_agent.web.drawing import Words, draw_empty, draw_report, draw_trouble
from ser_agent.web.examples import Example, examples

if TYPE_CHECKING:
    from collections.abc import Callable

    from ser_agent.config import Config
    from ser_agent.web.hearing import Ear
    from ser_agent.web.uploads import Uploads

log = logging.getLogger(__name__)

MOST_FILES: Final = 50
SWEEP_S: Final = (60, 120)
"""How often it is looked for uploads whose visitor has gone before they were heard, and how old these are then."""
SUFFIXES: Final = [".wav", ".mp3", ".flac", ".ogg", ".opus"]
FIRST: PageLanguage = PAGE_LANGUAGES[0]


def language_of(request: gr.Request | None) -> PageLanguage:
    """The language that a visitor's browser asks for, of those that there are."""
    wanted = "" if request is None else request.headers.get("accept-language", "")
    for part in wanted.lower().split(","):
        for language in PAGE_LANGUAGES:
            if part.strip().startswith(language):
                return language
    return FIRST


class Answers:
    """What the page's buttons do: sound in, HTML out. Whatever goes wrong is told on the page."""

    def __init__(self, ear: Ear, uploads: Uploads, longest_s: float) -> None:
        """Prepare.

        Args:
            ear: hears.
            uploads: where the framework puts what visitors send.
            longest_s: the longest recording, seconds.
        """
        self._ear = ear
        self._uploads = uploads
        self._longest_s = longest_s

    def recording(self, path: str | None, model: str, request: gr.Request) -> tuple[Any, None]:
        """Hear an upload or what the microphone recorded; the place for recordings is then empty again."""
        if path is None:  # cleared, or changed from file to microphone: what was heard stays
            return gr.skip(), None
        words = Words(language_of(request))
        row = self._hear_file(words, path, model)
        if row.report is None:
            return draw_trouble(words, row.error), None
        return draw_report(words, row.report), None

    def example(self, example: Example) -> Callable[[str, gr.Request], str]:
        """What hears an example."""

        def hear(model: str, request: gr.Request) -> str:
            words = Words(language_of(request))
            try:
                return draw_report(words, self._ear.hear(example.samples(), model))
            except SerAgentError as error:
                return draw_trouble(words, str(error))

        return hear

    def batch(self, paths: Sequence[str] | None, model: str, request: gr.Request) -> tuple[str, None]:
        """Hear several files; those that can't be heard are told beside the others."""
        words = Words(language_of(request))
        given = list(paths or ())
        if not given:
            return draw_empty(words), None
        if len(given) > MOST_FILES:
            for path in given:
                self._uploads.forget(Path(path))
            reason = texts(words.language)["too_many"].format(count=len(given), most=MOST_FILES)
            return draw_trouble(words, reason), None
        rows = [self._hear_file(words, path, model) for path in given]
        self._uploads.sweep()
        return draw_batch(words, rows), None

    def _hear_file(self, words: Words, path: str, model: str) -> Row:
        name = Path(path).name
        too_long = texts(words.language)["too_long"].format(longest_s=self._longest_s)
        try:
            samples = self._uploads.take(path, self._longest_s, too_long)
            return Row(name, self._ear.hear(samples, model))
        except AudioFileError as error:
            return Row(name, error=str(error))
        except SerAgentError as error:
            log.warning("page: a recording was not heard: %s", error)
            return Row(name, error=str(error))


def draw_head(words: Words) -> str:
    """The page's title."""
    icon = files("ser_agent.sinks").joinpath("page_files/icon.svg").read_text(encoding="utf-8")
    icon = icon.replace("<svg ", '<svg width="44" height="44" aria-hidden="true" ')
    return f'<div class="sa-head">{icon}<div><h1>{words("title")}</h1><p>{words("intro")}</p></div></div>'


def translations(config: Config) -> Any:  # noqa: ANN401 - the framework's classes have no types
    """The texts that the browser chooses by its own language."""
    values = {"longest_s": config.web.longest_s, "most": MOST_FILES}
    every: dict[str, dict[str, str]] = {}
    for language in PAGE_LANGUAGES:
        told = texts(language)
        filled = {key: told[key].format(**values) for key in ("recording_note", "files_note")}
        spoken = {
            f"example_{example.emotion}": f"{emoji(example.emotion)} {friendly(example.emotion, language)}"
            for example in examples()
            if example.emotion is not None
        }
        words = Words(language)
        drawn = {"head": draw_head(words), "nothing": draw_empty(words)}
        every[language] = {**told, **filled, **spoken, **drawn, "example_None": f"💬 {told['example_all']}"}
    return gr.I18n(**every)


def make_page(answers: Answers, models: Sequence[str], i18n: Any) -> gr.Blocks:  # noqa: ANN401 - no types
    """Lay out the page.

    Args:
        answers: what its buttons do.
        models: to choose from; the first is chosen.
        i18n: its texts.
    """
    page = gr.Blocks(analytics_enabled=False, title="ser-agent", delete_cache=SWEEP_S)
    with page:
        with gr.Row(equal_height=False):
            with gr.Column(scale=7, min_width=320):
                gr.HTML(i18n("head"))
            with gr.Column(scale=3, min_width=220):
                model = gr.Dropdown(list(models), value=models[0], label=i18n("model_choice"), filterable=False)
        with gr.Tab(i18n("tab_one")), gr.Row(equal_height=False):
            _lay_out_one(answers, model, i18n)
        with gr.Tab(i18n("tab_many")):
            _lay_out_many(answers, model, i18n)
        gr.HTML(i18n("privacy"), elem_classes="sa-foot")
    return page


BUSY: Final[dict[str, Any]] = {"api_visibility": "private", "concurrency_id": "ear", "concurrency_limit": 1}


def _lay_out_one(answers: Answers, model: gr.Dropdown, i18n: Any) -> None:  # noqa: ANN401 - no types
    with gr.Column(scale=4, min_width=320):
        recording = gr.Audio(
            sources=["upload", "microphone"],
            type="filepath",
            label=i18n("recording"),
            editable=False,
            buttons=[],
            elem_id="recording",
        )
        gr.Markdown(i18n("recording_note"), elem_classes="sa-note")
        gr.Markdown(i18n("examples"), elem_classes="sa-label")
        with gr.Row(elem_classes="sa-examples"):
            buttons = [
                (gr.Button(i18n(f"example_{example.emotion}"), elem_classes="sa-example", min_width=120), example)
                for example in examples()
            ]
    with gr.Column(scale=6, min_width=320, elem_classes="sa-out"):
        result = gr.HTML(i18n("nothing"), elem_id="result", container=True, padding=True)
    recording.input(answers.recording, [recording, model], [result, recording], **BUSY)
    for button, example in buttons:
        button.click(answers.example(example), model, result, **BUSY)


def _lay_out_many(answers: Answers, model: gr.Dropdown, i18n: Any) -> None:  # noqa: ANN401 - no types
    chosen = gr.File(
        file_count="multiple",
        file_types=SUFFIXES,
        type="filepath",
        label=i18n("files"),
        elem_id="files",
        height=160,
    )
    gr.Markdown(i18n("files_note"), elem_classes="sa-note")
    table = gr.HTML(i18n("nothing"), elem_id="table", container=True, padding=True)
    chosen.upload(answers.batch, [chosen, model], [table, chosen], **BUSY)
