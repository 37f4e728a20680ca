"""A worker's life: a model, a broker, and work for as long as nobody says otherwise."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import queue
import signal
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ser_agent.backoff import Backoff
from ser_agent.bell import Bell
from ser_agent.errors import ConfigError, SerAgentError
from ser_agent.fleet.bench import Bench
from ser_agent.fleet.desk import Desk
from ser_agent.fleet.link import Link, Place
from ser_agent.fleet_wire import FleetTopics, Presence, encode_presence
from ser_agent.signals import SIGNALS, held
from ser_agent.sinks.mqtt_options import MqttOptions, endpoint_as, warnings_about
from ser_agent.sinks.mqtt_tls import can_be_read_on_the_way

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ser_agent.options import ClassifierOptions
    from ser_agent.ports import EmotionClassifier, ModelInfo, PluginContext
    from ser_agent.sinks.mqtt_options import Endpoint
    from ser_agent.systemd import Notifier

log = logging.getLogger(__name__)

TICK_S: Final = 0.5
REPORT_S: Final = 60.0
BENCH_S: Final = 2.0
"""How long the classifier is waited for at the end; what it was at is somebody else's by then."""
TOLD: Final = ("asked", "answered", "non_speech", "failed", "expired", "shed", "duplicates", "ignored")


@dataclass(frozen=True, slots=True)
class Post:
    """A worker's place in the fleet.

    Attributes:
        name: unique on the broker.
        group: of the workers that it shares the work with.
        batch: so many utterances it classifies at a time, at most.
    """

    name: str
    group: str
    batch: int


class FleetWorker:
    """Classifies what satellites ask, until a signal ends it."""

    def __init__(
        self,
        classifier: EmotionClassifier,
        options: ClassifierOptions,
        broker: MqttOptions,
        context: PluginContext,
        post: Post,
    ) -> None:
        """Prepare; nothing is opened yet.

        Args:
            classifier: not loaded yet.
            options: the classifier's.
            broker: what the agent's MQTT sink would be made of.
            context: where relative paths count from.
            post: name, group and batch.

        Raises:
            ConfigError: sound would travel where anybody can hear it, or the protocol is one without work queues.
        """
        check(broker)
        self._classifier = classifier
        self._options = options
        self._broker = broker
        self._context = context
        self._post = post
        self._topics = FleetTopics(broker.base_topic)
        self._desk: Desk | None = None
        self._signals: queue.SimpleQueue[int] = queue.SimpleQueue()

    def run(self, notifier: Notifier) -> Mapping[str, int]:
        """Work until SIGTERM, SIGINT or SIGHUP. Only in the main thread, whose signals it takes.

        Args:
            notifier: tells the supervisor.

        Returns:
            What has come of what was asked.

        Raises:
            SerAgentError: the model or the broker's secrets cannot be had, or the classifier hangs.
        """
        before = {signum: signal.signal(signum, lambda signum, _: self.stop(signum)) for signum in SIGNALS}
        for signum in held():
            self.stop(signum)
        try:
            return self.work(notifier)
        finally:
            for signum, handler in before.items():
                signal.signal(signum, handler)

    @property
    def counts(self) -> Mapping[str, int]:
        """What has come of what was asked."""
        return {} if self._desk is None else dict(self._desk.counts)

    def stop(self, signum: int = signal.SIGTERM) -> None:
        """Have it finish what was begun and end, as a signal does. May be called from any thread, and before."""
        self._signals.put(signum)

    def work(self, notifier: Notifier) -> Mapping[str, int]:
        """Work until ``stop``, in any thread; the rest as in ``run``."""
        try:
            return self._work(notifier)
        finally:
            self._classifier.close()

    def _work(self, notifier: Notifier) -> Mapping[str, int]:
        for warning in warnings_about(self._broker):
            log.warning("%s", warning)
        self._endpoint()
        info = self._classifier.load()
        bell = Bell()
        self._desk = desk = Desk(self._topics, self._post.name, bell.ring)
        link = Link(desk, self._place(info), bell, Backoff(self._broker.retry_max_s))
        bench = Bench(
            self._classifier,
            info.name,
            desk,
            worker=self._post.name,
            batch=self._post.batch,
            time_limit_s=self._options.time_limit_s,
        )
        bench.start()
        link.start()
        notifier.ready()
        try:
            self._watch(notifier, link, bench, desk)
        finally:
            notifier.stopping()
            link.leave(0.0 if bench.fault else None)
            desk.close()
            bench.join(BENCH_S)
            log.info("done: %s", summary(self.counts))
        return self.counts

    def _watch(self, notifier: Notifier, link: Link, bench: Bench, desk: Desk) -> None:
        """Wait for a signal.

        Raises:
            SerAgentError: a thread hangs or has ended.
        """
        reporter = _Reporter(notifier)
        while True:
            with contextlib.suppress(queue.Empty):
                signum = self._signals.get(timeout=TICK_S)
                log.info("%s: finishing what was begun", signal.Signals(signum).name)
                return
            fault = bench.fault or (None if link.alive else "the connection's thread has ended")
            if fault is not None:
                raise SerAgentError(fault)
            notifier.alive()
            reporter.report(summary(desk.counts), connected=link.connected)

    def _place(self, info: ModelInfo) -> Place:
        post, topics = self._post, self._topics
        presence = Presence(
            worker=post.name,
            group=post.group,
            model=info.name,
            labels=info.labels,
            uncertain_below=info.threshold(self._options.min_confidence),
            licence=info.licence,
            languages=info.languages,
        )
        return Place(
            endpoint=self._endpoint,
            address=self._endpoint().address,
            subscription=topics.shared(post.group),
            presence_topic=topics.worker(post.name),
            presence=encode_presence(presence),
            receive_maximum=2 * post.batch,
        )

    def _endpoint(self) -> Endpoint:
        """The broker, under an identifier of our own: the configured one is the agent's."""
        name = f"ser-agent-worker-{self._post.name}"
        return dataclasses.replace(endpoint_as(name, self._broker, self._context), client_id=name)


class _Reporter:
    """Tells the log and the supervisor how things are: once a minute, and when the broker comes or goes."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._connected: bool | None = None
        self._logged = summary({})
        self._due_s = time.monotonic() + REPORT_S

    def report(self, text: str, *, connected: bool) -> None:
        is_due = time.monotonic() >= self._due_s
        if is_due:
            self._due_s = time.monotonic() + REPORT_S
        if is_due or connected is not self._connected:
            self._connected = connected
            self._notifier.status(f"{'connected' if connected else 'no broker'}; {text}")
        if is_due and text != self._logged:
            self._logged = text
            log.info("%s", text)


def check(broker: MqttOptions) -> None:
    """Object to a broker that sound must not come from.

    Raises:
        ConfigError: the message says why.
    """
    if can_be_read_on_the_way(broker.host, broker.tls):
        raise ConfigError(
            f"sinks: tls: off towards {broker.host}: what is said in other rooms would come here so "
            "that anybody on the way can hear it: encrypt, or run the broker on this machine"
        )
    if broker.protocol == "3.1.1":
        raise ConfigError("sinks: protocol: 3.1.1 has no shared subscriptions: a worker needs MQTT 5")


def summary(counts: Mapping[str, int]) -> str:
    """What has come of what was asked, in a line."""
    return ", ".join(f"{counts.get(key, 0)} {key}" for key in TOLD if key in TOLD[:5] or counts.get(key, 0))
