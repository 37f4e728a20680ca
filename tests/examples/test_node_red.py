"""The flow for Node-RED is whole, listens where events are, and does what it says in a real Node-RED."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from paho.mqtt.client import topic_matches_sub
from support.events import an_event
from support.examples import EXAMPLES, SITE, TOPICS
from support.mqtt import Listener, Mosquitto, free_port, wait_until

from ser_agent.labels import Emotion

if TYPE_CHECKING:
    from pathlib import Path

FLOW = EXAMPLES / "node-red" / "flow.json"
LAMP = "zigbee2mqtt/living_room_lamp/set"
PLAYER = "home/living_room/player/mute/set"
START_S = 60.0


def flow() -> list[dict[str, Any]]:
    nodes: list[dict[str, Any]] = json.loads(FLOW.read_text(encoding="utf-8"))
    return nodes


def of_type(kind: str) -> list[dict[str, Any]]:
    return [node for node in flow() if node["type"] == kind]


def test_its_nodes_are_wired_to_each_other() -> None:
    ids = [node["id"] for node in flow()]
    assert len(set(ids)) == len(ids)
    for node in flow():
        targets = {target for output in node.get("wires", []) for target in output}
        broker = {node["broker"]} if node["type"] in {"mqtt in", "mqtt out"} else set()
        tab = {node["z"]} if "z" in node else set()
        assert targets | broker | tab <= set(ids), node["name"]
        assert len(node.get("wires", [])) == node.get("outputs", len(node.get("wires", []))), node["name"]


def test_it_hears_the_events_of_every_agent() -> None:
    (hears,) = of_type("mqtt in")
    assert topic_matches_sub(hears["topic"], TOPICS.event(an_event()).topic)
    assert not topic_matches_sub(hears["topic"], TOPICS.emotion(an_event()).topic)
    assert hears["datatype"] == "json"


def test_it_asks_for_fields_and_emotions_that_there_are() -> None:
    fields = an_event().model_dump(by_alias=True)
    asked = of_type("switch")
    assert {node["property"].removeprefix("payload.") for node in asked} <= set(fields)
    emotions = {rule["v"] for node in asked if node["property"] == "payload.emotion" for rule in node["rules"]}
    assert emotions
    assert emotions <= set(Emotion)


@pytest.mark.broker
def test_in_a_real_node_red_it_dims_the_lamp_once_and_mutes_the_music(
    node_red: str, broker: Mosquitto, listener: Listener, tmp_path: Path
) -> None:
    nodes = flow()
    (connection,) = (node for node in nodes if node["type"] == "mqtt-broker")
    connection |= {"broker": "127.0.0.1", "port": str(broker.port)}
    (tmp_path / "flow.json").write_text(json.dumps(nodes))
    (tmp_path / "settings.js").write_text(
        f'module.exports = {{uiHost: "127.0.0.1", uiPort: {free_port()}, httpAdminRoot: false, '
        "httpNodeRoot: false, logging: {console: {level: 'info'}}}\n"
    )
    command = [node_red, "--userDir", str(tmp_path), "--settings", str(tmp_path / "settings.js")]
    log = tmp_path / "node-red.log"
    with log.open("wb") as output:
        process = subprocess.Popen([*command, str(tmp_path / "flow.json")], stdout=output, stderr=output)
    try:
        wait_until(lambda: "Connected to broker" in log.read_text(), "Node-RED connects", START_S)

        def is_dimmed() -> bool:  # again and again, since it says that it is connected before it listens
            for emotion, confidence in (("happy", 0.9), ("sad", 0.5), ("sad", 0.8)):
                say(listener, emotion, confidence)
            return bool(listener.on(LAMP))

        wait_until(is_dimmed, "the lamp is dimmed")
        for emotion, confidence in (("sad", 0.9), ("angry", 0.7)):
            say(listener, emotion, confidence)
        wait_until(lambda: listener.on(PLAYER), "the music is muted")
    finally:
        process.terminate()
        process.wait(START_S)
    assert [json.loads(payload)["brightness"] for payload in listener.payloads(LAMP)] == [76]
    assert listener.payloads(PLAYER) == ["ON"]


def say(listener: Listener, emotion: str, confidence: float) -> None:
    publication = TOPICS.event(an_event(emotion=emotion, confidence=confidence, site=SITE))
    listener.say(publication.topic, publication.payload.decode())
