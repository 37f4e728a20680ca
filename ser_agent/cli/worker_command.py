"""``ser-agent worker``: hear the emotion in what other machines' agents have heard."""

from __future__ import annotations

import logging
import re
import secrets
import socket
from typing import TYPE_CHECKING

from ser_agent import __version__, logs, signals
from ser_agent.app import Workshop
from ser_agent.cli.settings import load_settings
from ser_agent.errors import EX_OK, ConfigError
from ser_agent.fleet.worker import FleetWorker, Post
from ser_agent.ports import PluginContext
from ser_agent.sinks.mqtt_options import MqttOptions
from ser_agent.systemd import Notifier

if TYPE_CHECKING:
    import argparse

    from ser_agent.config import Loaded

log = logging.getLogger(__name__)

LONGEST_HOST = 48


def execute(args: argparse.Namespace) -> int:
    """Work until stopped."""
    loaded = load_settings(args)
    logs.set_up(loaded.config.log.level)
    post = Post(args.name or default_name(socket.gethostname()), args.group, args.batch)
    log.info(
        "ser-agent %s, worker %s, configuration: %s", __version__, post.name, loaded.file or "none: the defaults"
    )
    worker = _make(loaded, post)
    if not signals.stop_is_wanted():
        worker.run(Notifier())
    return EX_OK


def default_name(host: str) -> str:
    """A name that no other worker has, and that tells where it runs."""
    plain = re.sub(r"[^A-Za-z0-9_.-]", "-", host)[:LONGEST_HOST].lstrip("_.-")
    return f"{plain or 'worker'}-{secrets.token_hex(2)}"


def _make(loaded: Loaded, post: Post) -> FleetWorker:
    config = loaded.config
    where = f"{loaded.file or 'the defaults'}: "
    if config.classifier.type == "remote":
        raise ConfigError(f"{where}classifier: a worker is what `remote` asks: it needs an engine of its own")
    broker = next((options for options in config.sinks if isinstance(options, MqttOptions)), None)
    if broker is None:
        raise ConfigError(
            f"{where}sinks: a worker takes its broker from the first sink of type mqtt: there is none"
        )
    context = PluginContext(config.site, loaded.base_dir)
    try:
        return FleetWorker(Workshop(loaded).classifier(), config.classifier, broker, context, post)
    except ConfigError as error:
        raise ConfigError(f"{where}{error}") from error
