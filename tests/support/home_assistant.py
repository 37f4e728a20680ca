"""A real Home Assistant with its MQTT integration, which tells the broker all that it sees and does."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any, Self

from support.mqtt import free_port, wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from support.mqtt import Listener

START_S = 300.0
BORN = "2026-01-01T00:00:00+00:00"


class HomeAssistant:
    """Home Assistant's process, connected to a broker.

    It repeats every state on ``seen/<domain>/<object id>/state`` and, in the same way, every attribute; and every
    event of its own, calls of services among them, on ``seen/events``.
    """

    def __init__(self, program: str, folder: Path, listener: Listener, broker_port: int) -> None:
        """Prepare a configuration folder that knows the broker.

        Args:
            program: ``hass``.
            folder: the folder, which need not exist.
            listener: hears everything on that broker.
            broker_port: port of the broker on the loopback interface.
        """
        self.folder = folder
        self._program = program
        self._listener = listener
        self._process: subprocess.Popen[bytes] | None = None
        (folder / ".storage").mkdir(parents=True)
        self._store("core.config_entries", 4, {"entries": [_mqtt_entry(broker_port)]})

    def _store(self, key: str, minor_version: int, data: Mapping[str, Any]) -> None:
        document = {"version": 1, "minor_version": minor_version, "key": key, "data": data}
        (self.folder / ".storage" / key).write_text(json.dumps(document))

    def configure(self, more: Mapping[str, Any]) -> None:
        """Write ``configuration.yaml``, of which JSON is a part."""
        base = {
            "homeassistant": {"name": "Test", "time_zone": "UTC", "unit_system": "metric"},
            "http": {"server_host": "127.0.0.1", "server_port": free_port()},
            "mqtt_statestream": {"base_topic": "seen", "publish_attributes": True},
            "mqtt_eventstream": {"publish_topic": "seen/events"},
            "logger": {"default": "warning"},
        }
        # JSON's escapes of what lies beyond 16 bits are none of YAML's.
        text = json.dumps({**base, **more}, ensure_ascii=False)
        (self.folder / "configuration.yaml").write_text(text, encoding="utf-8")

    def start(self) -> None:
        """Start, and wait until it has told the broker that it is up."""
        births = len(self._listener.on("homeassistant/status"))
        self._process = subprocess.Popen(
            [self._program, "--config", str(self.folder), "--skip-pip"],
            env=os.environ | {"HOME": str(self.folder)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until(lambda: self._is_up(births), "Home Assistant starts", START_S)
        except AssertionError:
            self.stop()
            raise

    def _is_up(self, births: int) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"Home Assistant ended:\n{self.log}"
        return self._listener.payloads("homeassistant/status")[births:][-1:] == ["online"]

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(START_S)
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def log(self) -> str:
        """What it has logged: warnings and errors."""
        file = self.folder / "home-assistant.log"
        return file.read_text(encoding="utf-8") if file.exists() else ""

    def complaints(self, *components: str) -> list[str]:
        """The lines of its log that come from these components, warnings and errors."""
        names = [f"[homeassistant.components.{component}" for component in components]
        return [line for line in self.log.splitlines() if any(name in line for name in names)]

    def state(self, entity_id: str, attribute: str = "state") -> str | None:
        """The latest state of an entity, or an attribute as JSON; None where it has none."""
        return self._listener.last(f"seen/{entity_id.replace('.', '/')}/{attribute}")

    def calls(self, service: str) -> list[dict[str, Any]]:
        """The data of all calls of a service, such as ``light.turn_on``, in order."""
        events = [json.loads(payload) for payload in self._listener.payloads("seen/events")]
        called = [event["event_data"] for event in events if event["event_type"] == "call_service"]
        return [call["service_data"] for call in called if f"{call['domain']}.{call['service']}" == service]


def _mqtt_entry(port: int) -> dict[str, Any]:
    return {
        "entry_id": "01KAV0Z6T4V1M7Y5W6N8Q2R3S4",
        "domain": "mqtt",
        "title": "MQTT",
        "version": 1,
        "minor_version": 2,
        "data": {"broker": "127.0.0.1", "port": port},
        "options": {"discovery": True, "discovery_prefix": "homeassistant"},
        "source": "user",
        "unique_id": None,
        "disabled_by": None,
        "discovery_keys": {},
        "subentries": [],
        "pref_disable_new_entities": False,
        "pref_disable_polling": False,
        "created_at": BORN,
        "modified_at": BORN,
    }
