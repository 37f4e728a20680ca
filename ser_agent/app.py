"""The composition root: a configuration in, a running agent out. The one place that wires parts together."""

from __future__ import annotations

import logging
import queue
import signal
from typing import TYPE_CHECKING, Any

from ser_agent import __version__
from ser_agent.agent import Agent, Outcome, Parts
from ser_agent.config_text import digest
from ser_agent.errors import ConfigError, SerAgentError
from ser_agent.pipeline.stage import Occurrences, Signalled
from ser_agent.plugins import Port, factory_for
from ser_agent.ports import PluginContext

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ser_agent.config import Config, Loaded
    from ser_agent.metrics import Books
    from ser_agent.options import PluginOptions
    from ser_agent.ports import AudioSource, EmotionClassifier, EventSink, VoiceActivityDetector
    from ser_agent.systemd import Notifier

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Workshop:
    """Makes the parts that a configuration asks for. Making a part opens nothing."""

    def __init__(self, loaded: Loaded) -> None:
        self._config = loaded.config
        self._context = PluginContext(site=loaded.config.site, base_dir=loaded.base_dir)

    def source(self) -> AudioSource:
        """Where sound comes from."""
        source: AudioSource = self._make("sources", self._config.source)
        return source

    def detector(self) -> VoiceActivityDetector:
        """What tells speech from other sound."""
        detector: VoiceActivityDetector = self._make("vads", self._config.vad)
        return detector

    def classifier(self) -> EmotionClassifier:
        """What hears the emotion."""
        classifier: EmotionClassifier = self._make("classifiers", self._config.classifier)
        return classifier

    def sinks(self) -> Mapping[str, EventSink]:
        """Where messages go, by unique name."""
        return {name: self._make("sinks", options) for name, options in named_sinks(self._config)}

    def _make(self, port: Port, options: PluginOptions) -> Any:  # noqa: ANN401 - a class with the port's operations
        return factory_for(port, options)(options, self._context)


def named_sinks(config: Config) -> Iterator[tuple[str, PluginOptions]]:
    """The sinks' options, each under its type, with a number where one type stands several times."""
    seen: dict[str, int] = {}
    for options in config.sinks:
        seen[options.type] = number = seen.get(options.type, 0) + 1
        yield (options.type if number == 1 else f"{options.type}-{number}"), options


def assemble(loaded: Loaded, classifier: EmotionClassifier) -> Parts:
    """Make all parts but the classifier, which may outlive a reload."""
    workshop, config = Workshop(loaded), loaded.config
    return Parts(
        site=config.site,
        version=__version__,
        config_digest=digest(loaded),
        source_name=config.source.type,
        source=workshop.source(),
        detector=workshop.detector(),
        threshold=config.vad.threshold,
        segmenter=config.segmenter,
        classifier=classifier,
        top=config.classifier.top,
        min_confidence=config.classifier.min_confidence,
        sinks=workshop.sinks(),
        stats_interval_s=config.stats_interval_s,
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
        self._occurrences: Occurrences = queue.SimpleQueue()
        self._classifier = Workshop(loaded).classifier()
        self._fresh = loaded

    def run(self) -> Books:
        """Run until the source ends or a signal says so. Only in the main thread, whose signals it takes.

        Returns:
            What became of the last agent's utterances.

        Raises:
            SerAgentError: a part cannot be had, or a stage died.
        """
        before = {signum: signal.signal(signum, self._on_signal) for signum in SIGNALS}
        try:
            return self._run()
        finally:
            self._classifier.close()
            for signum, handler in before.items():
                signal.signal(signum, handler)

    def _run(self) -> Books:
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
                return agent.books
            fallback = self._loaded
            self._adopt(self._fresh)

    def _adopt(self, loaded: Loaded) -> None:
        if loaded.config.classifier != self._loaded.config.classifier:
            self._classifier.close()
            self._classifier = Workshop(loaded).classifier()
        self._loaded = loaded

    def _agent(self) -> Agent:
        self._forget_all_but_signals()
        parts = assemble(self._loaded, self._classifier)
        return Agent(parts, self._occurrences, self._notifier, self._take_new_configuration)

    def _forget_all_but_signals(self) -> None:
        """What happened to the agent before this one is no longer of interest; a signal sent meanwhile is."""
        old, self._occurrences = self._occurrences, queue.SimpleQueue()
        while not old.empty():
            occurrence = old.get()
            if isinstance(occurrence, Signalled):
                self._occurrences.put(occurrence)

    def _take_new_configuration(self) -> bool:
        """Read the configuration anew; what is wrong leaves the old one running."""
        if self._reload is None:
            self._occurrences.put(Signalled(signal.SIGTERM))
            return False
        try:
            self._fresh = self._reload()
        except ConfigError as error:
            log.error("the new configuration is wrong, the old one stays:\n%s", error)  # noqa: TRY400
            return False
        return True

    def _on_signal(self, signum: int, _frame: object) -> None:
        self._occurrences.put(Signalled(signum))


def _log_books(books: Books) -> None:
    log.info(
        "%d utterances: %d published, %d failed, %d dropped",
        books.begun,
        books.published,
        sum(books.failed.values()),
        sum(books.dropped.values()),
    )
