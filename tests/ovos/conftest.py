"""OpenVoiceOS's libraries, whose warnings are theirs."""

from __future__ import annotations

import warnings

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("ovos_plugin_manager.templates.transformers")
    pytest.importorskip("ovos_plugin_manager.templates.phal")
