"""A classifier that answers some utterances and not others, says which model answered, and counts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from support.rig import PAUSE, SPEECH, Rig, speech

from ser_agent.assistants.hearing import verdict_of
from ser_agent.errors import ClassificationError
from ser_agent.messages import AgentInfo
from ser_agent.ports import NON_SPEECH, Attributed, Unanswered, answered, distribution_of
from ser_agent.testing import FakeClassifier, RecordingSink, ScriptedSource, utterance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ser_agent.audio import Utterance
    from ser_agent.ports import Answer, ModelInfo

SCORES = {"happy": 0.9, "sad": 0.1}


def run(classifier: FakeClassifier, times: int) -> Rig:
    rig = Rig(ScriptedSource(speech(*[SPEECH, PAUSE] * times)), classifier)
    rig.agent().run()
    return rig


def test_each_that_is_unanswered_is_counted_by_its_reason() -> None:
    reasons = iter(["no_worker", None, "expired", "no_worker"])

    def answer(_: Utterance) -> Answer:
        reason = next(reasons)
        return SCORES if reason is None else Unanswered(reason)

    rig = Rig(ScriptedSource(speech(*[SPEECH, PAUSE] * 4)), FakeClassifier(answer))
    agent = rig.agent()
    agent.run()
    assert agent.books.failed == {"no_worker": 2, "expired": 1}
    assert (agent.books.begun, agent.books.published, agent.books.open) == (4, 1, 0)


def test_an_event_names_the_model_that_answered() -> None:
    models = iter(["one@1", "other@2"])
    rig = run(FakeClassifier(lambda _: Attributed(SCORES, next(models))), 2)
    assert [event.model for event in rig.record.events] == ["one@1", "other@2"]
    assert all(event.confidence == 0.9 for event in rig.record.events)


class Elsewhere(FakeClassifier):
    """It sends sound away."""

    def load(self) -> ModelInfo:
        return replace(super().load(), audio_sent_to="broker.example:8883")

    def counts(self) -> Mapping[str, int]:
        return {"workers": 3}


def test_info_says_where_sound_goes_and_stats_what_the_classifier_counts() -> None:
    rig = Rig(classifier=Elsewhere())
    agent = rig.agent()
    agent.run()
    (info,) = [message for message in rig.record.messages if isinstance(message, AgentInfo)]
    assert info.audio_sent_to == "broker.example:8883"
    assert agent.stats().classifier == {"workers": 3}


def test_info_says_of_others_that_it_goes_nowhere() -> None:
    record = RecordingSink()
    rig = Rig(sinks={"record": record})
    agent = rig.agent()
    agent.run()
    (info,) = [message for message in record.messages if isinstance(message, AgentInfo)]
    assert info.audio_sent_to is None
    assert agent.stats().classifier == {}


def test_who_has_no_use_for_a_missing_answer_is_told_the_reason() -> None:
    assert answered([SCORES, NON_SPEECH]) == [SCORES, NON_SPEECH]
    with pytest.raises(ClassificationError, match="expired"):
        answered([SCORES, Unanswered("expired")])


def test_only_a_distribution_is_one() -> None:
    heard = [distribution_of(answer) for answer in (SCORES, NON_SPEECH, Unanswered("labels"))]
    assert heard == [SCORES, None, None]
    assert (
        verdict_of([(utterance().duration_s, distribution) for distribution in heard if distribution]) is not None
    )
