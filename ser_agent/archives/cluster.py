"""The Ray cluster: finding one, and having parts heard on it through Ray Data."""

from __future__ import annotations

import json
import logging
import math
import os
import socket
from contextlib import closing, contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any, TypedDict

import ray
import ray.data
import ray.exceptions

from ser_agent.archives.actor import HearingActor
from ser_agent.archives.hush import Aside, silent_stderr
from ser_agent.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ser_agent.archives.job import Job
    from ser_agent.archives.records import Row

ANY = "any"
"""An address: the cluster that RAY_ADDRESS names, else one that runs here, else one that is started for this."""
LOCAL = "local"
"""An address: one that is started for this, on this machine alone."""
OBJECT_STORE_BYTES = 100 * 2**20
"""Of a cluster that is started here. Names and rows go through it, never sound."""
MOST_FILES = 64
MOST_RECORDINGS_TO_CUT = 8
"""Files of a part at most: what is heard anew at most when a node goes away. Those that are cut may be long."""
REACHED_WITHIN_S = 5.0
PARTS_OF_A_HEARER = 4
"""Of few files, each hearer gets so many parts: none waits long for the last."""


class Answer(TypedDict):
    """What came of a part.

    Attributes:
        rows: of its recordings.
        log: what was logged: logger, level, message.
        failure: why nothing came of it, and the exit code of that; None where something did.
    """

    rows: list[Row]
    log: list[tuple[str, int, str]]
    failure: tuple[str, int] | None


@contextmanager
def connected(address: str) -> Iterator[None]:
    """Be the driver of a cluster meanwhile. What is printed then is taken for Ray's, and kept aside.

    Args:
        address: ``ANY``, ``LOCAL``, ``auto``, or host and port of a cluster that this machine belongs to.

    Raises:
        UnavailableError: there is none.
    """
    try:
        with silent_stderr():
            _connect(address)
    except (OSError, OverflowError, RuntimeError, ValueError) as error:
        ray.shutdown()
        raise UnavailableError(f"the Ray cluster {address}: {_first_line(error)}") from error
    _be_quiet()
    with redirect_stdout(Aside()):
        try:
            yield
        finally:
            ray.shutdown()


def share_out(job: Job, files: Sequence[str], first_number: int) -> dict[int, list[str]]:
    """Cut a list of recordings into parts, for the cluster as it is.

    Returns:
        Their names by the parts' numbers.
    """
    fair = math.ceil(len(files) / (PARTS_OF_A_HEARER * _hearers(job)))
    size = min(fair, MOST_RECORDINGS_TO_CUT if job.segment else MOST_FILES)
    starts = range(0, len(files), size)
    return {first_number + index: list(files[start : start + size]) for index, start in enumerate(starts)}


def answers(job: Job, parts: Mapping[int, Sequence[str]]) -> Iterator[tuple[int, Answer]]:
    """Have parts heard.

    What a node was at when it went away is heard elsewhere; each part is answered once.

    Args:
        job: how to hear.
        parts: names of recordings by number.

    Yields:
        Numbers with their answers, in the order in which they are done.
    """
    items = [{"part": number, "files": json.dumps(list(files))} for number, files in parts.items()]
    hearers = min(len(items), _hearers(job))
    data = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        HearingActor,
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(min_size=hearers, max_size=len(items)),
        num_cpus=job.threads,
        num_gpus=job.gpus or None,
        fn_constructor_args=(job,),
    )
    try:
        for row in data.iter_rows():
            yield int(row["part"]), json.loads(row["answer"])
    except ray.exceptions.RayTaskError:
        raise  # a bug on a node: its traceback is worth telling
    except ray.exceptions.RayError as error:
        raise UnavailableError(f"the Ray cluster: {_first_line(error)}") from error


def _hearers(job: Job) -> int:
    """How many there is room for at the moment."""
    return max(1, int(ray.available_resources().get("CPU", 1) // job.threads))


def _connect(address: str) -> None:
    host, colon, port = address.rpartition(":")
    if colon:  # asked first: Ray itself would try for minutes
        with closing(socket.create_connection((host.strip("[]"), int(port)), REACHED_WITHIN_S)):
            pass
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address != LOCAL:
        try:
            ray.init(address="auto" if address == ANY else address, **quiet)
        except ConnectionError:
            if colon or os.environ.get("RAY_ADDRESS"):
                raise
            if address != ANY:
                raise ConnectionError("none runs here, and RAY_ADDRESS names none") from None
        else:
            return
    ray.init(address="local", include_dashboard=False, object_store_memory=OBJECT_STORE_BYTES, **quiet)


def _be_quiet() -> None:
    """Let Ray say nothing but errors: progress is told by who asked for the answers."""
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False


def _first_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return next(iter(str(error).splitlines()), type(error).__name__)
