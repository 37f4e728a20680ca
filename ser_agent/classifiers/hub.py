"""Checkpoints of the Hugging Face hub, as folders of its cache. The network is touched only where allowed."""

from __future__ import annotations

import logging
from pathlib import Path

from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import LocalEntryNotFoundError
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

from ser_agent.classifiers.folder import CONFIG, check_folder
from ser_agent.errors import ModelError

log = logging.getLogger(__name__)

_WANTED = ["*.json", "*.safetensors", "*.yaml"]
_NESTED = ["*/*"]
"""Folders inside a checkpoint hold other states of its training."""


def fetch(name: str, revision: str | None, *, allow_download: bool) -> Path:
    """Find a checkpoint in the hub's cache, or download it.

    What is in the cache is taken as it is, even where the hub has a newer one: an answer must not change because
    the agent was restarted.

    Args:
        name: the hub id, ``owner/name``.
        revision: branch, tag or commit.
        allow_download: whether the network may be used where the cache does not have it.

    Returns:
        The folder of the cache.

    Raises:
        ModelError: it is not in the cache and may not be downloaded, or cannot be.
    """
    try:
        folder = Path(hf_hub_download(name, CONFIG, revision=revision, local_files_only=True)).parent
    except LocalEntryNotFoundError as error:
        if not allow_download:
            raise ModelError(
                f"model {name}: there is no such folder, and the Hugging Face cache has no such model"
                f"{f' of revision {revision}' if revision else ''}. Nothing is downloaded unless the "
                "configuration says `classifier: {allow_download: true}`"
            ) from error
        return _download(name, revision)
    except ValueError as error:
        raise ModelError(f"model {name}: neither a folder nor a hub id: {error}") from error
    if allow_download and not _complete(name, folder):
        return _download(name, revision)
    return folder


def _complete(name: str, folder: Path) -> bool:
    try:
        check_folder(name, folder)
    except ModelError as error:
        log.info("%s", error)
        return False
    return True


def _download(name: str, revision: str | None) -> Path:
    log.info("downloading model %s from the Hugging Face hub", name)
    hidden = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=_WANTED, ignore_patterns=_NESTED))
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ModelError(f"model {name}: cannot be downloaded from the Hugging Face hub: {reason}") from error
    finally:
        if not hidden:
            enable_progress_bars()
