"""What a checkpoint's author may tell the agent in ``config.json``, and the mistakes that are told."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ser_agent.classifiers.metadata import Metadata, read_metadata
from ser_agent.errors import ModelError

LABELS = ("angry", "happy", "sad", "noise")
WHERE = "model mine: /models/mine/config.json"
EVENLY = {"angry": 1, "happy": 1, "sad": 1}


def test_everything_is_optional() -> None:
    nothing = read_metadata(WHERE, None, LABELS)
    assert nothing == read_metadata(WHERE, {}, LABELS) == Metadata()
    assert (nothing.calibration.temperature, nothing.calibration.power) == (1.0, 1.0)
    assert (nothing.calibration.bias, nothing.non_speech) == ({}, ())
    assert (nothing.prior.home, nothing.prior.trained, nothing.uncertain_below) == (None, None, None)


def test_all_that_is_told_is_taken_and_what_the_agent_does_not_know_is_left_alone() -> None:
    metadata = read_metadata(
        WHERE,
        {
            "name": "mine",
            "revision": "2b",
            "trained_on": ["CREMA-D"],
            "calibration": {"temperature": 2, "power": 0.8, "bias": {"noise": -0.5}},
            "prior": {"home": {"angry": 0.1, "happy": 0.2, "sad": 0.7}, "trained": EVENLY},
            "uncertain_below": 0.45,
            "non_speech": ["noise"],
        },
        LABELS,
    )
    assert (metadata.name, metadata.revision) == ("mine", "2b")
    assert (metadata.calibration.temperature, metadata.calibration.power) == (2.0, 0.8)
    assert metadata.calibration.bias == {"noise": -0.5}
    assert (metadata.prior.home, metadata.prior.trained) == ({"angry": 0.1, "happy": 0.2, "sad": 0.7}, EVENLY)
    assert (metadata.uncertain_below, metadata.non_speech) == (0.45, ("noise",))
    assert metadata.spoken(LABELS) == ["angry", "happy", "sad"]


MISTAKES: list[tuple[Any, str]] = [
    (["calibration"], "ser_agent: input should be an object"),
    ({"revision": 1.5}, "ser_agent.revision: input should be a valid integer"),
    ({"languages": "en"}, 'ser_agent.languages: input should be a valid array, not "en"'),
    ({"languages": ["en", 3]}, "ser_agent.languages.1: input should be a valid string, not 3"),
    ({"calibration": None}, "ser_agent.calibration: input should be an object, not null"),
    (
        {"calibration": {"temperature": 0}},
        "ser_agent.calibration.temperature: input should be greater than 0, not 0",
    ),
    ({"calibration": {"temperature": -1.5}}, "ser_agent.calibration.temperature: input should be greater than 0"),
    ({"calibration": {"temperature": "1"}}, 'calibration.temperature: input should be a valid number, not "1"'),
    ({"calibration": {"temperature": math.nan}}, "calibration.temperature: input should be a finite number"),
    ({"calibration": {"temperature": True}}, "calibration.temperature: input should be a valid number, not true"),
    ({"calibration": {"power": 0}}, "ser_agent.calibration.power: input should be greater than 0, not 0"),
    ({"calibration": {"power": 4.5}}, "calibration.power: input should be less than or equal to 4, not 4.5"),
    ({"calibration": {"power": "1"}}, 'ser_agent.calibration.power: input should be a valid number, not "1"'),
    ({"calibration": {"temperatur": 1}}, "ser_agent.calibration.temperatur: extra inputs are not permitted"),
    ({"calibration": {"bias": {"sad": None}}}, "ser_agent.calibration.bias.sad: input should be a valid number"),
    ({"calibration": {"bias": {"sad": math.inf}}}, "ser_agent.calibration.bias.sad: input should be a finite"),
    (
        {"calibration": {"bias": {"rage": 1}}},
        "calibration.bias names rage, which is none of angry, happy, sad, noise",
    ),
    ({"prior": {"home": {**EVENLY, "sad": 0}}}, "prior.home.sad: input should be greater than 0, not 0"),
    ({"prior": {"homes": EVENLY}}, "ser_agent.prior.homes: extra inputs are not permitted"),
    (
        {"prior": {"home": {**EVENLY, "rage": 1}}},
        "prior.home names rage, which is none of angry, happy, sad, noise",
    ),
    ({"prior": {"home": EVENLY}}, "prior.home leaves out noise: it must name each of angry, happy, sad, noise"),
    ({"prior": {"trained": {}}}, "ser_agent.prior.trained leaves out angry, happy, sad, noise"),
    (
        {"non_speech": ["noise"], "prior": {"trained": {**EVENLY, "noise": 1}}},
        "ser_agent.prior.trained names noise, which is none of angry, happy, sad",
    ),
    ({"uncertain_below": 1.01}, "ser_agent.uncertain_below: input should be less than or equal to 1, not 1.01"),
    ({"uncertain_below": -0.1}, "ser_agent.uncertain_below: input should be greater than or equal to 0"),
    ({"non_speech": "noise"}, 'ser_agent.non_speech: input should be a valid array, not "noise"'),
    ({"non_speech": ["hum"]}, "ser_agent.non_speech names hum, which is none of angry, happy, sad, noise"),
    ({"non_speech": list(LABELS)}, "ser_agent.non_speech leaves no label of speech"),
]


@pytest.mark.parametrize(("told", "sentence"), MISTAKES, ids=[sentence[:60] for _, sentence in MISTAKES])
def test_a_mistake_is_told_with_its_file_and_its_key(told: object, sentence: str) -> None:
    with pytest.raises(ModelError) as raised:
        read_metadata(WHERE, told, LABELS)
    assert str(raised.value).startswith(f"{WHERE}: ser_agent")
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)
