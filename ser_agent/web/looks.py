"""The page's own look: a theme for the framework's parts, and a style sheet for ours."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import gradio as gr

from ser_agent.palette import DARK, LIGHT, variables

SANS = ("ser-agent emoji", "Inter", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")
INDIGO = gr.themes.Color(
    name="indigo-of-ours",
    c50="#eef0ff",
    c100="#e0e3ff",
    c200="#c6cbff",
    c300="#aab1ff",
    c400="#8089f5",
    c500="#5a64e0",
    c600="#3d46c2",
    c700="#333aa3",
    c800="#2b3183",
    c900="#272c69",
    c950="#171a40",
)
SLATE = gr.themes.Color(
    name="slate-of-ours",
    c50="#f3f4f9",
    c100="#eceef6",
    c200="#dfe2ec",
    c300="#c5cad8",
    c400="#a3adc0",
    c500="#71798c",
    c600="#5a6274",
    c700="#3a4356",
    c800="#222a38",
    c900="#171c26",
    c950="#0d1119",
)


def make_theme() -> Any:  # noqa: ANN401 - the framework's classes have no types
    """The theme: nothing of it comes from elsewhere, no font either."""
    theme = gr.themes.Base(
        primary_hue=INDIGO,
        secondary_hue=INDIGO,
        neutral_hue=SLATE,
        radius_size=gr.themes.sizes.radius_lg,
        font=[*SANS],
        font_mono=[*MONO],
    )
    return theme.set(
        body_background_fill="#f3f4f9",
        body_background_fill_dark="#0d1119",
        body_text_color="#1b2030",
        body_text_color_dark="#eceff7",
        body_text_color_subdued="#5a6274",
        body_text_color_subdued_dark="#a3adc0",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="#171c26",
        block_background_fill="#ffffff",
        block_background_fill_dark="#171c26",
        block_border_color="#dfe2ec",
        block_border_color_dark="#2a3242",
        block_radius="18px",
        block_label_text_color="#5a6274",
        block_label_text_color_dark="#a3adc0",
        block_label_background_fill="#ffffff",
        block_label_background_fill_dark="#171c26",
        block_title_text_color="#1b2030",
        block_title_text_color_dark="#eceff7",
        block_info_text_color="#5a6274",
        block_info_text_color_dark="#a3adc0",
        border_color_primary="#dfe2ec",
        border_color_primary_dark="#2a3242",
        button_secondary_background_fill="#eceef6",
        button_secondary_background_fill_dark="#222a38",
        button_secondary_text_color="#1b2030",
        button_secondary_text_color_dark="#eceff7",
        button_primary_background_fill="#3d46c2",
        button_primary_background_fill_dark="#aab1ff",
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#12152c",
        color_accent="#3d46c2",
        color_accent_soft="#e0e3ff",
        color_accent_soft_dark="#272c69",
        shadow_drop="none",
    )


def make_head() -> str:
    """What goes into the page's head: our style sheet, with the emotions' colours."""
    own = files("ser_agent.web").joinpath("page.css").read_text(encoding="utf-8")
    colours = f":root {{ {variables(LIGHT)} --other: var(--neutral); }} .dark {{ {variables(DARK)} }}"
    return f"<style>{colours}\n{own}</style>"
