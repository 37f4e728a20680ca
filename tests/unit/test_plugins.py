"""Plugins by entry point: the built-in ones, third parties', and broken ones, each laid out as pip would."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.agent import ser_agent

from ser_agent import plugins
from ser_agent.errors import EX_CONFIG, PluginError
from ser_agent.options import PluginOptions
from ser_agent.plugins import PORTS, available, factory_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ser_agent.plugins import PluginEntry, Port

CLIP = Path(__file__).parents[1] / "data" / "1066_IOM_NEU_XX.opus"
LAMP = '''
from typing import Literal
from pathlib import Path
from ser_agent.messages import EmotionEvent
from ser_agent.options import ClassifierOptions, PluginOptions
from ser_agent.ports import ModelInfo

class LampOptions(PluginOptions):
    type: Literal["lamp"] = "lamp"
    file: str = "lamp.txt"
    """Where the lamp's colour is written."""

class LampSink:
    """A lamp that shows the mood."""
    Options = LampOptions
    def __init__(self, options, context):
        self._file = context.base_dir / options.file
    def open(self): self._file.write_text("off\\n")
    def publish(self, message):
        if isinstance(message, EmotionEvent):
            self._file.open("a").write(f"{message.emotion}\\n")
    def flush(self, timeout_s): pass
    def close(self): pass
    def lost(self): return 0

class CoinOptions(ClassifierOptions):
    type: Literal["coin"] = "coin"

class Coin:
    """Always heads."""
    Options = CoinOptions
    def __init__(self, options, context): pass
    def load(self): return ModelInfo("coin@1", ("happy", "sad"))
    def classify(self, utterances): return [{"happy": 0.75, "sad": 0.25} for _ in utterances]
    def close(self): pass
'''
LAMP_ENTRIES = "[ser_agent.sinks]\nlamp = lamp_plugin:LampSink\n[ser_agent.classifiers]\ncoin = lamp_plugin:Coin\n"
BROKEN = {
    "raises": ("raise ValueError('no such lamp')", "ValueError: no such lamp"),
    "imports what is not there": (
        "import no_such_package",
        "ModuleNotFoundError: No module named 'no_such_package'",
    ),
    "exits": ("import sys; sys.exit(3)", "SystemExit: 3"),
    "has no such class": ("pass", "AttributeError: module 'plug' has no attribute 'Plug'"),
    "has no Options": ("class Plug: pass", "AttributeError: type object 'Plug' has no attribute 'Options'"),
    "has Options of another kind": (
        "class Plug: Options = dict",
        "its Options is not a subclass of ser_agent.options.PluginOptions",
    ),
    "does not say its type": (
        "from ser_agent.options import PluginOptions\nclass Plug: Options = PluginOptions",
        'its Options does not say: type: Literal["plug"] = "plug"',
    ),
    "says another type": (
        "from ser_agent.sinks.console import ConsoleOptions\nclass Plug: Options = ConsoleOptions",
        'its Options does not say: type: Literal["plug"] = "plug"',
    ),
}


def install(folder: Path, name: str, module: str, entries: str) -> None:
    """Lay a distribution out as pip would."""
    (folder / f"{name}_plugin.py").write_text(module, encoding="utf-8")
    info = folder / f"{name}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(entries, encoding="utf-8")


def found(port: Port) -> Mapping[str, PluginEntry]:
    """The plugins as a process that starts now would find them."""
    return available.__wrapped__(port)


@pytest.fixture
def lamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where a third party's plugins are installed; programs started here find them."""
    install(tmp_path, "lamp", LAMP, LAMP_ENTRIES)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


@pytest.fixture
def plug(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A sink that is broken in the way that the parameter names; the fixture's value is its fault."""
    module, fault = BROKEN[request.param]
    install(tmp_path, "plug", "", "[ser_agent.sinks]\nplug = plug:Plug\n")
    (tmp_path / "plug.py").write_text(module, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "plug", raising=False)
    return fault


@pytest.mark.parametrize("port", PORTS)
def test_the_built_in_plugins_are_found_by_entry_point_and_none_is_broken(port: Port) -> None:
    entries = available(port)
    assert {"microphone", "files", "stdin", "cascade", "energy", "silero", "webrtc", "wav2vec2", "mqtt"} & set(
        entries
    )
    for name, entry in entries.items():
        assert (entry.port, entry.name, entry.fault) == (port, name, None)
        assert entry.distribution.startswith("ser-agent ")
        assert entry.options is not None
        assert entry.factory is not None
        assert entry.options.model_fields["type"].default == name
        assert entry.factory.__doc__
        assert factory_for(port, entry.options.model_construct(type=name)) is entry.factory


def test_a_plugin_that_nobody_brings_is_refused_and_those_there_are_are_named() -> None:
    with pytest.raises(
        PluginError, match=r"no plugin 'lamp' for sinks: known: console, jsonlines, mqtt"
    ) as refused:
        factory_for("sinks", PluginOptions(type="lamp"))
    assert refused.value.exit_code == EX_CONFIG


@pytest.mark.parametrize("plug", BROKEN, indirect=True)
def test_a_broken_plugin_is_reported_with_its_fault_and_the_others_go_on(
    plug: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        entries = found("sinks")
    assert (entries["plug"].factory, entries["plug"].options, entries["plug"].fault) == (None, None, plug)
    assert entries["plug"].distribution == "plug 1.2"
    assert f"plugin plug of port sinks (plug 1.2) cannot be loaded: {plug}" in caplog.text
    assert entries["console"].fault is None
    monkeypatch.setattr(plugins, "available", found)
    with pytest.raises(PluginError) as refused:
        factory_for("sinks", PluginOptions(type="plug"))
    assert plug in str(refused.value)


@pytest.mark.parametrize(("port", "base"), [("vads", "VadOptions"), ("classifiers", "ClassifierOptions")])
def test_where_the_agent_reads_keys_itself_the_options_must_have_them(
    port: Port, base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "from ser_agent.options import PluginOptions\nclass Plug: Options = PluginOptions"
    install(tmp_path, port, module, f"[ser_agent.{port}]\nplug = {port}_plugin:Plug\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert found(port)["plug"].fault == f"its Options is not a subclass of ser_agent.options.{base}"


def test_of_two_plugins_of_one_name_the_first_found_is_used_and_the_other_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    module = "from ser_agent.sinks.console import ConsoleSink as Twin"
    install(tmp_path, "twin", module, "[ser_agent.sinks]\nconsole = twin_plugin:Twin\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert found("sinks")["console"].distribution == "twin 1.2"
    assert "plugin console of port sinks: twin 1.2 brings it, not ser-agent " in caplog.text


def test_a_third_party_s_plugins_are_listed_like_the_built_in_ones(lamp: Path) -> None:
    lines = ser_agent("plugins").stdout.splitlines()
    (sink,) = (line for line in lines if "lamp" in line and "sinks" in line)
    assert "A lamp that shows the mood." in sink
    assert "lamp 1.2" in sink
    assert any("coin" in line and "Always heads." in line for line in lines)
    assert any("mqtt" in line and "ser-agent " in line for line in lines)


def test_a_third_party_s_keys_are_in_the_example_with_their_comments(lamp: Path) -> None:
    example = ser_agent("config", "example").stdout
    assert "# lamp: A lamp that shows the mood." in example
    assert "# Where the lamp's colour is written." in example
    assert "file: lamp.txt" in example


def test_a_third_party_s_keys_are_checked_and_mistakes_explained(lamp: Path) -> None:
    (lamp / "agent.yaml").write_text("sinks:\n  - type: lamp\n    flie: x\n", encoding="utf-8")
    checked = ser_agent("config", "show", "--config", str(lamp / "agent.yaml"))
    assert checked.returncode == EX_CONFIG
    assert "agent.yaml:3: sinks.0.flie: unknown key: did you mean 'file'?" in checked.stderr


def test_a_third_party_s_plugins_run_in_the_agent(lamp: Path) -> None:
    config = {
        "source": {"type": "files", "paths": [str(CLIP)]},
        "classifier": {"type": "coin"},
        "sinks": [{"type": "lamp", "file": "colour.txt"}],
    }
    (lamp / "agent.yaml").write_text(json.dumps(config), encoding="utf-8")
    ran = ser_agent("run", "--config", str(lamp / "agent.yaml"))
    assert ran.returncode == 0, ran.stderr
    assert (lamp / "colour.txt").read_text(encoding="utf-8") == "off\nhappy\n"


def test_with_a_broken_plugin_installed_the_commands_work_and_say_what_is_wrong(lamp: Path) -> None:
    install(lamp, "torn", "raise OSError('torn')", "[ser_agent.vads]\ntorn = torn_plugin:Torn\n")
    listed = ser_agent("plugins")
    assert listed.returncode == 0
    assert any("torn 1.2" in line and "broken: OSError: torn" in line for line in listed.stdout.splitlines())
    example = ser_agent("config", "example")
    assert example.returncode == 0
    assert "# energy: " in example.stdout
    assert "plugin torn of port vads (torn 1.2) cannot be loaded: OSError: torn" in example.stderr
