"""Asking workers elsewhere: a satellite captures and segments, and others hear the emotion.

Without a fallback neither torch nor ONNX Runtime is imported. The contract is
``docs/adr/0025-the-broker-shares-out-the-work.md``.
"""

from __future__ import annotations

import json
import logging
import secrets
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import BeforeValidator, Field, SerializeAsAny, WithJsonSchema, field_validator, model_validator

from ser_agent.backoff import Backoff
from ser_agent.errors import ClassificationError, ModelError, SinkError
from ser_agent.fleet_wire import LONGEST_SOUND_S, FleetTopics, encode_sound
from ser_agent.labels import Emotion
from ser_agent.options import ClassifierOptions
from ser_agent.plugins import available, factory_for
from ser_agent.ports import Attributed, ModelInfo, Unanswered, distribution_of
from ser_agent.sinks.mqtt_options import BrokerOptions, endpoint_as, plain_topic, warnings_about
from ser_agent.sinks.mqtt_tls import can_be_read_on_the_way
from ser_agent.sinks.mqtt_topics import DEFAULT_BASE, agent_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ser_agent.audio import Utterance
    from ser_agent.classifiers.remote_desk import Desk
    from ser_agent.classifiers.remote_link import RemoteLink
    from ser_agent.ports import Answer, EmotionClassifier, PluginContext
    from ser_agent.sinks.mqtt_options import Endpoint

log = logging.getLogger(__name__)

DEFAULT_FALLBACK: Final = "wav2vec2"
WORKER_S: Final = 3.0
"""How long is waited at the start for a worker to say which labels there are, seconds."""
SETTLE_S: Final = 0.1
"""How long for the others, once one has."""
UNKNOWN_MODEL: Final = "remote"
WORDS: Final = tuple(emotion.value for emotion in Emotion if emotion is not Emotion.CALM)
"""What is announced where nobody tells which labels there are: those of the embedded model."""


def _fallback(value: Any) -> Any:  # noqa: ANN401 - plain YAML data
    """The options of another classifier, checked by that plugin's own model."""
    if not isinstance(value, dict):
        return value
    name = value.get("type", DEFAULT_FALLBACK)
    entries = available("classifiers")
    options = entries[name].options if isinstance(name, str) and name in entries else None
    if options is None or name == "remote":
        known = ", ".join(other for other in entries if other != "remote")
        raise ValueError(f"a fallback of type {name!r} cannot be had; known: {known}")
    return options.model_validate_json(json.dumps({**value, "type": name}))


Fallback = Annotated[
    SerializeAsAny[ClassifierOptions] | None,
    BeforeValidator(_fallback),
    WithJsonSchema({"anyOf": [{"type": "object"}, {"type": "null"}], "default": None}),
]


class RemoteOptions(ClassifierOptions, BrokerOptions):
    """Keys of the classifier that asks workers elsewhere."""

    type: Literal["remote"] = "remote"
    early: bool = False
    """Ask in the pause that is to end an utterance, so that the answer is there when it ends. Where somebody
    speaks on, its sound is sent twice."""
    protocol: Literal["auto", "5"] = "auto"
    """MQTT version; auto is 5, as sharing out work takes it."""
    base_topic: str = DEFAULT_BASE
    """First part of the topics; that of the workers."""
    answer_within_s: float = Field(default=10.0, ge=1.0, le=600.0)
    """Seconds after which an answer is of no use any more: then the utterance is given up, by the broker too."""
    max_waiting: int = Field(default=16, ge=1, le=1024)
    """Utterances that may be on their way at a time."""
    no_worker_after_s: float = Field(default=2.0, ge=0.1, le=600.0)
    """Without a worker in sight for so long, the fallback is asked, or the utterance counts as failed."""
    fallback: Fallback = None
    """Another classifier's keys, such as {type: wav2vec2}, which is asked while no worker is in sight, and loaded
    at the start. `null`: there is none."""
    retry_max_s: float = Field(default=60.0, gt=0.0)
    """Longest wait between two attempts to connect; waits start under 1 s and are random."""

    @field_validator("base_topic")
    @classmethod
    def _is_a_topic(cls, topic: str) -> str:
        return plain_topic(topic)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if can_be_read_on_the_way(self.host, self.tls):
            raise ValueError(
                f"tls: what is said would go to {self.host} unencrypted: leave out `tls: off`, or have the broker "
                "on this machine"
            )
        if self.time_limit_s <= self.answer_within_s:
            raise ValueError(
                f"time_limit_s ({self.time_limit_s:g}) has to be longer than answer_within_s "
                f"({self.answer_within_s:g})"
            )
        return self


class RemoteClassifier:
    """Workers elsewhere (`ser-agent worker`), asked over MQTT: the sound of every utterance is sent to them."""

    Options = RemoteOptions

    def __init__(self, options: RemoteOptions, context: PluginContext) -> None:
        self._options = options
        self._context = context
        self._topics = FleetTopics(options.base_topic)
        # Another one each time: what checks or classifies beside an agent that runs must not throw it out.
        self._client_id = f"{agent_id(options.base_topic, context.site)}-remote-{secrets.token_hex(3)}"
        self._desk: Desk | None = None
        self._link: RemoteLink | None = None
        self._fallback: EmotionClassifier | None = None
        self._fallback_model: ModelInfo | None = None
        self._fallen_back = 0
        self._labels: frozenset[str] = frozenset()
        self._warned: set[str] = set()

    def load(self) -> ModelInfo:
        """Connect, load the fallback, and learn of a worker what it can tell. A second call learns anew.

        A broker or worker that cannot be had yet keeps nobody from starting: then the labels are the fallback's,
        else those of the embedded model, and what a worker calls otherwise is not passed on.

        Raises:
            ModelError: a file that the keys name is missing, or the fallback's model cannot be had.
            MissingExtraError: the fallback's packages are not installed.
        """
        try:
            address = self._endpoint().address
        except SinkError as error:
            raise ModelError(f"remote classifier: {error}") from error
        if self._options.fallback is not None and self._fallback is None:
            fallback = factory_for("classifiers", self._options.fallback)(self._options.fallback, self._context)
            self._fallback_model = fallback.load()
            self._fallback = fallback
        desk = self._start(address) if self._desk is None else self._desk
        model = self._model(desk, address)
        self._labels = frozenset(model.labels)
        return model

    def classify(self, utterances: Sequence[Utterance]) -> Sequence[Answer]:
        """Ask workers about all of them at once, and wait for the answers.

        Raises:
            ClassificationError: it is not loaded.
        """
        if self._desk is None or self._link is None:
            raise ClassificationError("the remote classifier is not loaded")
        answers = self._ask(self._desk, self._link, utterances)
        left = [index for index, answer in enumerate(answers) if answer == Unanswered("no_worker")]
        if left and self._fallback is not None:
            given = self._fall_back(self._fallback, [utterances[index] for index in left])
            for index, answer in zip(left, given, strict=True):
                answers[index] = answer
        return [self._with_known_labels(answer) for answer in answers]

    def close(self) -> None:
        """Take leave of the broker; what is open stays unanswered."""
        if self._desk is not None:
            self._desk.give_up()
        link, self._link, self._desk = self._link, None, None
        if link is not None:
            link.stop()
        fallback, self._fallback = self._fallback, None
        if fallback is not None:
            fallback.close()

    def counts(self) -> Mapping[str, int]:
        """What an operator may want to know: workers in sight, those asked about and sent again."""
        return {} if self._desk is None else {**self._desk.counts(), "fallback": self._fallen_back}

    def probe(self, timeout_s: float) -> str:
        """What an operator is told who checks the configuration. It is loaded, and closed again.

        Args:
            timeout_s: longest wait for a worker, seconds.

        Raises:
            ModelError: there is no broker, or no worker in sight; or what ``load`` raises.
        """
        try:
            model = self.load()
            assert self._desk is not None  # noqa: S101 - it is loaded
            assert self._link is not None  # noqa: S101 - it is loaded
            workers = self._desk.workers(timeout_s, SETTLE_S)
            fault = self._link.fault or f"no worker in sight at the broker {model.audio_sent_to}"
        finally:
            self.close()
        labels = f"{model.name}, labels: {', '.join(model.labels)}"
        if workers:
            return f"{len(workers)} workers in sight, {labels}"
        if self._options.fallback is None:
            raise ModelError(fault)
        return f"the fallback {labels}; {fault}"

    def warnings(self) -> list[str]:
        """What an operator should know before anything is opened."""
        where = f"the sound of every utterance is sent to the broker {self._options.host}"
        return [where, *warnings_about(self._options)]

    def _endpoint(self) -> Endpoint:
        return endpoint_as(self._client_id, self._options, self._context)

    def _start(self, address: str) -> Desk:
        from ser_agent.classifiers.remote_desk import Desk, Patience  # noqa: PLC0415 - its links are for who asks
        from ser_agent.classifiers.remote_link import RemoteLink  # noqa: PLC0415 - brings paho

        log.warning("the sound of every utterance is sent to the broker %s, for workers to classify", address)
        for warning in warnings_about(self._options):
            log.warning("remote classifier: %s", warning)
        options, site = self._options, self._context.site
        patience = Patience(
            options.answer_within_s, options.no_worker_after_s, options.max_waiting, options.fallback is not None
        )
        self._desk = desk = Desk(self._topics, site, patience)
        self._link = RemoteLink(desk, self._topics, site, self._endpoint, Backoff(options.retry_max_s))
        self._link.start()
        return desk

    def _model(self, desk: Desk, address: str) -> ModelInfo:
        """What events will tell, as far as anybody says."""
        workers = desk.workers(WORKER_S, SETTLE_S)
        own = self._fallback_model
        labels = [label for worker in workers for label in worker.labels] + list(own.labels if own else ())
        if not workers:
            log.warning("no worker in sight yet: %s", "the fallback is asked" if own else "utterances will fail")
        if workers:
            first = workers[0]
            told = ModelInfo(first.model, (), first.licence, first.languages, first.uncertain_below)
        else:
            told = own or ModelInfo(UNKNOWN_MODEL, ())
        return ModelInfo(
            told.name,
            tuple(dict.fromkeys(labels or WORDS)),
            told.licence,
            told.languages,
            told.uncertain_below,
            audio_sent_to=address,
        )

    def _ask(self, desk: Desk, link: RemoteLink, utterances: Sequence[Utterance]) -> list[Answer]:
        if desk.in_vain():
            return [Unanswered("no_worker")] * len(utterances)
        short = [utterance for utterance in utterances if utterance.duration_s <= LONGEST_SOUND_S]
        asked = desk.ask([encode_sound(utterance.samples) for utterance in short])
        link.wake()
        answers = iter(desk.wait(asked))
        return [next(answers) if utterance in short else Unanswered("too_long") for utterance in utterances]

    def _fall_back(self, fallback: EmotionClassifier, utterances: Sequence[Utterance]) -> list[Answer]:
        """What the fallback says; its fault is not that of what others have answered."""
        self._fallen_back += len(utterances)
        model = self._fallback_model.name if self._fallback_model is not None else UNKNOWN_MODEL
        answers: list[Answer] = []
        try:
            answers += fallback.classify(utterances)
        except Exception:
            log.exception("%d utterances not classified: the fallback failed", len(utterances))
        if len(answers) != len(utterances):
            return [Unanswered("fallback")] * len(utterances)
        scores = [distribution_of(answer) for answer in answers]
        return [
            answer if given is None else Attributed(given, model)
            for answer, given in zip(answers, scores, strict=True)
        ]

    def _with_known_labels(self, answer: Answer) -> Answer:
        scores = distribution_of(answer)
        strange = set() if scores is None else set(scores) - self._labels
        if not strange:
            return answer
        new = strange - self._warned
        if new:
            self._warned |= new
            log.warning(
                "a worker answers with labels that were not announced (%s): reload this agent, or give all "
                "workers the same model",
                ", ".join(sorted(new)),
            )
        return Unanswered("labels")
