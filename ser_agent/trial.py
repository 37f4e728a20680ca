"""The trial: ``ser-agent run`` without any configuration works on any machine, and says what it stands in for."""

from __future__ import annotations

import logging
import socket
from dataclasses import replace
from importlib.resources import files
from typing import TYPE_CHECKING

from ser_agent.broker import EmbeddedBroker
from ser_agent.errors import UnavailableError
from ser_agent.sinks.mqtt_options import MqttOptions
from ser_agent.sources.devices import has_microphone
from ser_agent.sources.files import FilesOptions
from ser_agent.sources.microphone import MicrophoneOptions

if TYPE_CHECKING:
    from contextlib import ExitStack

    from ser_agent.config import Loaded
    from ser_agent.options import PluginOptions

log = logging.getLogger(__name__)

CONVERSATION = "samples/conversation.ogg"
LOOPBACK = {"localhost", "127.0.0.1"}
PORT = 1883
CONNECT_S = 1.0


def with_stand_ins(loaded: Loaded, cleanup: ExitStack, *, any_source: bool) -> Loaded:
    """Replace what this machine does not have.

    Args:
        loaded: the configuration, made of defaults and the command line.
        cleanup: stops what is started here.
        any_source: whether the source was left open, so that a conversation may stand in for the microphone.
    """
    config = loaded.config
    if any_source and isinstance(config.source, MicrophoneOptions) and not has_microphone():
        log.warning("no microphone here: playing the bundled conversation instead (a minute, in real time)")
        conversation = str(files("ser_agent").joinpath(CONVERSATION))
        options = FilesOptions(paths=(conversation,), realtime=True)
        config = config.model_copy(update={"source": options})
    sinks = tuple(options for options in config.sinks if _has_broker(options, cleanup))
    return replace(loaded, config=config.model_copy(update={"sinks": sinks}))


def _has_broker(options: PluginOptions, cleanup: ExitStack) -> bool:
    """Whether a sink is of any use: where it lacks a broker that can be embedded, that is tried."""
    if not isinstance(options, MqttOptions) or not _can_be_embedded(options):
        return True
    host, port = options.host, options.port or PORT
    if _answers(host, port):
        return True
    broker = EmbeddedBroker(port)
    try:
        broker.start()
    except UnavailableError as error:
        log.warning("no broker answers at %s:%d; events are not published (%s)", host, port, error)
        return False
    cleanup.callback(broker.stop)
    log.warning("no broker answers at %s:%d: started an embedded one there (loopback only)", host, port)
    return True


def _can_be_embedded(options: MqttOptions) -> bool:
    """Whether the sink would find a broker that listens on this machine alone, unencrypted."""
    return options.host in LOOPBACK and options.tls is None and options.transport == "tcp"


def _answers(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=CONNECT_S):
            return True
    except OSError:
        return False
