"""Satellites name themselves as they like; topics and devices want slugs, each of them once."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Container

    from ser_agent.state import StateFile

SECTION: Final = "hermes"
LONGEST: Final = 64
LONGEST_RAW: Final = 128
MOST_REMEMBERED: Final = 256
_OTHERS = re.compile(r"[^a-z0-9_-]+")


def slug(name: str) -> str:
    """What of a name may stand in a topic: ``[a-z0-9_-]+``, without accents; a mark where nothing is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    kept = _OTHERS.sub("-", plain).strip("-")[:LONGEST].strip("-")
    return kept or f"site-{_mark(name)}"


def _mark(name: str) -> str:
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:6]


def _marked(wanted: str, name: str) -> str:
    return f"{wanted[: LONGEST - 7]}-{_mark(name)}"


def possible_slugs(name: str) -> frozenset[str]:
    """The slugs that a satellite may have been given."""
    wanted = slug(name)
    return frozenset({wanted, _marked(wanted, name)})


class SiteNames:
    """Gives each satellite a slug of its own. Which one is remembered, so that it has the same one for ever."""

    def __init__(self, state: StateFile, taken: Container[str]) -> None:
        """Remember.

        Args:
            state: what outlives the process.
            taken: slugs that no satellite may have: the agent's own, and those whose topics are others'.
        """
        self._state = state
        self._taken = taken
        facts = state.read(SECTION).get("sites")
        known = facts.items() if isinstance(facts, dict) else ()
        self._slugs: dict[str, str] = {}
        for name, given in known:
            if isinstance(given, str) and given == slug(given) and self._is_free(given):
                self._slugs[name] = given

    def of(self, name: str) -> str:
        """The slug of a satellite.

        Args:
            name: its ``siteId``.
        """
        if name not in self._slugs:
            if len(self._slugs) >= MOST_REMEMBERED:
                del self._slugs[next(iter(self._slugs))]
            self._slugs[name] = self._fresh(name)
            self._state.write(SECTION, {"sites": dict(self._slugs)})
        return self._slugs[name]

    def _fresh(self, name: str) -> str:
        wanted = slug(name)
        return wanted if self._is_free(wanted) else _marked(wanted, name)

    def _is_free(self, wanted: str) -> bool:
        return wanted not in self._taken and wanted not in self._slugs.values()
