"""What travels to those who hear an archive: how to hear, and nothing that hearing does not need."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from ser_agent import __version__
from ser_agent.config import Loaded, validate
from ser_agent.config_text import effective
from ser_agent.yaml_file import Document

if TYPE_CHECKING:
    from collections.abc import Mapping

SECTIONS = ("vad", "segmenter", "classifier")
"""Of the configuration. Sinks, with a broker's password in them, stay at home."""
PACE = {"early", "max_batch", "partial_every_s", "threads", "time_limit_s"}
"""Keys that change when an answer comes, and nothing in it."""


@dataclass(frozen=True, slots=True)
class Job:
    """How recordings are to be heard.

    Attributes:
        version: of ser_agent, which every node must have.
        settings: the sections of the configuration that matter, as JSON.
        base_dir: folder that its relative paths count from.
        segment: whether recordings are cut into utterances first.
        top: how many emotions to tell of each; None for all.
        threads: that one hearer computes in; so many processors are reserved for it.
        gpus: that one hearer needs.
        log_level: the least severe messages that are told.
    """

    version: str
    settings: str
    base_dir: str
    segment: bool
    top: int | None
    threads: int
    gpus: int
    log_level: str

    @property
    def loaded(self) -> Loaded:
        """The configuration, as a hearer has it."""
        document = Document("the archive's settings", json.loads(self.settings))
        return Loaded(validate(document), Path(self.base_dir))


def make_job(loaded: Loaded, *, segment: bool, top: int | None) -> Job:
    """Gather what travels.

    Where nobody said how many threads the classifier has, it has one: a cluster is filled with hearers instead.
    """
    settings = {name: getattr(loaded.config, name).model_dump() for name in SECTIONS}
    classifier = settings["classifier"]
    threads = classifier.get("threads") or 1
    if "threads" in classifier:
        classifier["threads"] = threads
    return Job(
        version=__version__,
        settings=json.dumps(settings, default=_plain),
        base_dir=str(loaded.base_dir),
        segment=segment,
        top=top,
        threads=threads,
        gpus=int(str(classifier.get("device")).startswith("cuda")),
        log_level=loaded.config.log.level.upper(),
    )


def answers_depend_on(loaded: Loaded, job: Job) -> dict[str, Any]:
    """Everything that the answers depend on but the recordings, as plain values, secrets masked."""
    whole = effective(loaded)
    sections = {name: _without_pace(whole[name]) for name in SECTIONS}
    return {"ser_agent": job.version, "segment": job.segment, "top": job.top, **sections}


def _without_pace(section: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in section.items() if key not in PACE}


def _plain(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
