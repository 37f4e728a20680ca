"""The composition root: a configuration in, a running agent out. The one place that wires parts together."""

from __future__ import annotations

import logging
import math
import queue
import signal
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ser_agent import __version__
from ser_agent.agent import Agent, Outcome
from ser_agent.assistant_voice import AssistantVoice
from ser_agent.commands import CommandDesk
from ser_agent.config_text import digest
from ser_agent.endpointing import Endpointer
from ser_agent.errors import ConfigError, SerAgentError
from ser_agent.parts import Parts
from ser_agent.pipeline.stage import Occurrences, Requested, Signalled
from ser_agent.plugins import Port, factory_for
from ser_agent.ports import PluginContext
from ser_agent.recording import Recorder
from ser_agent.segmenter import NO_DRAFTS, Drafting, Segmenter
from ser_agent.signals import SIGNALS, held
from ser_agent.sinks.page import PageSink
from ser_agent.state import StateFile, state_file, state_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ser_agent.config import Config, Loaded
    from ser_agent.metrics import Books
    from ser_agent.options import PluginOptions
    from ser_agent.ports import AssistantWatch, AudioSource, EmotionClassifier, EventSink, VoiceActivityDetector
    from ser_agent.systemd import Notifier

log = logging.getLogger(__name__)

PAGE = "web"
"""Name of the live page among the sinks: its section of the configuration."""
RESTART_LEAST_S = 75.0
"""A process so young is not restarted: systemd gives up on a unit that starts six times in 300 s."""


class Workshop:
    """Makes the parts that a configuration asks for. Making a part opens nothing."""

    def __init__(self, loaded: Loaded, state: StateFile | None = None, desk: CommandDesk | None = None) -> None:
        """Prepare.

        Args:
            loaded: the configuration.
            state: what outlives the process; None where nothing does.
            desk: where sinks may hand in commands; None where no agent runs.
        """
        config = loaded.config
        self._config = config
        self._context = PluginContext(config.site, loaded.base_dir, state or StateFile(), desk)

    def source(self) -> AudioSource:
        """Where sound comes from."""
        source: AudioSource = self._make("sources", self._config.source)
        return source

    def detector(self) -> VoiceActivityDetector:
        """What tells speech from other sound."""
        detector: VoiceActivityDetector = self._make("vads", self._config.vad)
        return detector

    def endpointer(self, drafting: Drafting = NO_DRAFTS) -> Endpointer:
        """What cuts one stream of sound into utterances.

        Args:
            drafting: when an utterance is told of before its end; by default never.
        """
        return Endpointer(self.detector(), Segmenter(self._config.segmenter, self._config.vad.threshold, drafting))

    def classifier(self) -> EmotionClassifier:
        """What hears the emotion."""
        classifier: EmotionClassifier = self._make("classifiers", self._config.classifier)
        return classifier

    def recorder(self) -> Recorder | None:
        """What keeps utterances as files, where that was asked for."""
        options = self._config.recording
        return None if options is None else Recorder(options, self._context.base_dir)

    def sinks(self) -> Mapping[str, EventSink]:
        """Where messages go, by unique name; the live page is one of them."""
        sinks = {name: self._make("sinks", options, name) for name, options in named_sinks(self._config)}
        page = {PAGE: PageSink(self._config.web, self._context)} if self._config.web.enabled else {}
        return {**sinks, **page}

    def assistant(self) -> AssistantWatch | None:
        """What tells when an assistant speaks."""
        options = self._config.assistant
        watch: AssistantWatch | None = None if options is None else self._make("voices", options)
        return watch

    def voice(self) -> AssistantVoice:
        """What remembers that."""
        options = self._config.assistant
        return AssistantVoice() if options is None else AssistantVoice(options.timeout_s, options.tail_ms / 1000)

    def _make(self, port: Port, options: PluginOptions, name: str = "") -> Any:  # noqa: ANN401 - of any port
        return factory_for(port, options)(options, replace(self._context, name=name))


def named_sinks(config: Config) -> Iterator[tuple[str, PluginOptions]]:
    """The sinks' options, each under its type, with a number where one type stands several times."""
    seen: dict[str, int] = {}
    for options in config.sinks:
        seen[options.type] = number = seen.get(options.type, 0) + 1
        yield (options.type if number == 1 else f"{options.type}-{number}"), options


def assemble(loaded: Loaded, classifier: EmotionClassifier, state: StateFile, desk: CommandDesk) -> Parts:
    """Make all parts but the classifier, which may outlive a reload."""
    workshop, config = Workshop(loaded, state, desk), loaded.config
    return Parts(
        site=config.site,
        version=__version__,
        config_digest=digest(loaded),
        source_name=config.source.type,
        source=workshop.source(),
        make_detector=workshop.detector,
        threshold=config.vad.threshold,
        segmenter=config.segmenter,
        classifier=classifier,
        top=config.classifier.top,
        min_confidence=config.classifier.min_confidence,
        time_limit_s=config.classifier.time_limit_s,
        sinks=workshop.sinks(),
        stats_interval_s=config.stats_interval_s,
        hard_mute=config.hard_mute,
        state=state,
        desk=desk,
        assistant=workshop.assistant(),
        voice=workshop.voice(),
        recorder=workshop.recorder(),
        drafting=Drafting(config.classifier.early, config.classifier.partial_every_s),
    )


class Application:
    """Runs one agent after another: a reload ends one and starts the next, with the model kept where it can be."""

    def __init__(self, loaded: Loaded, reload: Callable[[], Loaded] | None, notifier: Notifier) -> None:
        """Prepare; nothing is opened yet.

        Args:
            loaded: the configuration to start with.
            reload: reads the configuration anew; raises ``ConfigError`` where it is wrong. None where there is
                nothing to read: then SIGHUP comes from a terminal that was closed, and stops the agent.
            notifier: tells the supervisor.
        """
        self._loaded = loaded
        self._reload = reload
        self._notifier = notifier
        self._started_s = time.monotonic()
        self._state = StateFile() if loaded.file is None else state_file(loaded.file, state_folder())
        self._occurrences: Occurrences = queue.SimpleQueue()
        self._classifier = Workshop(loaded).classifier()
        self._fresh = loaded

    def run(self) -> Outcome:
        """Run until the source ends or somebody says so. Only in the main thread, whose signals it takes.

        Returns:
            Why it ended: a restart is left to the caller.

        Raises:
            SerAgentError: a part cannot be had, or a stage died.
        """
        before = {signum: signal.signal(signum, self._on_signal) for signum in SIGNALS}
        for signum in held():
            self._on_signal(signum, None)
        try:
            return self._run()
        finally:
            self._classifier.close()
            self._state.close()
            for signum, handler in before.items():
                signal.signal(signum, handler)

    def _run(self) -> Outcome:
        fallback: Loaded | None = None
        while True:
            agent = self._agent()
            try:
                outcome = agent.run()
            except SerAgentError as error:
                if fallback is None or agent.ready:
                    raise
                log.error("the new configuration does not run, going back to the old one: %s", error)  # noqa: TRY400
                self._adopt(fallback)
                fallback = None
                continue
            _log_books(agent.books)
            if outcome is not Outcome.RELOAD:
                return outcome
            fallback = self._loaded
            self._adopt(self._fresh)

    def _adopt(self, loaded: Loaded) -> None:
        old, new = self._loaded.config, loaded.config
        if (new.classifier, new.site) != (old.classifier, old.site):
            self._classifier.close()
            self._classifier = Workshop(loaded).classifier()
        self._loaded = loaded

    def _agent(self) -> Agent:
        self._forget_all_but_signals()
        occurrences = self._occurrences
        desk = CommandDesk(lambda request: occurrences.put(Requested(request)))
        parts = assemble(self._loaded, self._classifier, self._state, desk)
        return Agent(parts, occurrences, self._notifier, self._objection)

    def _forget_all_but_signals(self) -> None:
        """What happened to the agent before this one is no longer of interest; a signal sent meanwhile is."""
        old, self._occurrences = self._occurrences, queue.SimpleQueue()
        while not old.empty():
            occurrence = old.get()
            if isinstance(occurrence, Signalled):
                self._occurrences.put(occurrence)

    def _objection(self, wanted: Outcome) -> str | None:
        """What speaks against a reload or a restart; a configuration that is wrong leaves the old one running."""
        if wanted is Outcome.RESTART:
            remaining_s = RESTART_LEAST_S - (time.monotonic() - self._started_s)
            return f"started a moment ago: ask again in {math.ceil(remaining_s)} s" if remaining_s > 0 else None
        if self._reload is None:
            return "there is no configuration file to read anew"
        try:
            self._fresh = self._reload()
        except ConfigError as error:
            log.error("the new configuration is wrong, the old one stays:\n%s", error)  # noqa: TRY400
            return str(error)
        return None

    def _on_signal(self, signum: int, _frame: object) -> None:
        if signum == signal.SIGHUP and self._reload is None:
            signum = signal.SIGTERM
        self._occurrences.put(Signalled(signum))


def _log_books(books: Books) -> None:
    log.info(
        "%d utterances: %d published, %d failed, %d dropped",
        books.begun,
        books.published,
        sum(books.failed.values()),
        sum(books.dropped.values()),
    )
