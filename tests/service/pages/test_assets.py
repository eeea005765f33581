"""What the pages are made of: templates, the style sheet, what is vendored."""

import re

from service.pages import rendering
from service.pages.rendering import HERE


def test_what_is_vendored_names_its_version_and_licence():
    vendor = HERE / "static/vendor"
    version = re.search(r"htmx (\d+\.\d+\.\d+)", (vendor / "README.md").read_text())
    assert version
    assert f'version="{version.group(1)}"' in (vendor / "htmx.min.js").read_text().replace("'", '"')
    assert "Zero-Clause BSD" in (vendor / "htmx.LICENSE").read_text()


def test_both_themes_have_contrast_enough_to_read():
    sheet = (HERE / "static/retort.css").read_text()
    found = re.findall(r"--([\w-]+): light-dark\(#([0-9a-f]{6}), #([0-9a-f]{6})\)", sheet)
    light, dark = ({name: both[theme] for name, *both in found} for theme in (0, 1))
    pairs = [("ink", "ground"), ("ink", "raised"), ("dim", "ground"), ("dim", "raised"), ("dim", "idle-ground")]
    pairs += [
        ("link", "ground"),
        ("link", "raised"),
        ("on-mark", "mark"),
        ("ink", "warn-ground"),
        ("ink", "bad-ground"),
    ]
    pairs += [(kind, f"{kind}-ground") for kind in ("good", "bad", "warn", "busy")]
    assert len(light) > 20
    for colours in (light, dark):
        bars = [(f"{kind}-bar", "ground") for kind in ("good", "bad", "warn", "busy", "dim")]
        assert [bar for bar in bars if _contrast(colours[bar[0]], colours[bar[1]]) < 3] == []
        assert [pair for pair in pairs if _contrast(colours[pair[0]], colours[pair[1]]) < 4.5] == []


def _contrast(one: str, other: str) -> float:
    """WCAG 2.2, relative luminance and contrast ratio."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_no_template_switches_the_escaping_off():
    for template in (HERE / "templates").iterdir():
        assert not re.search(r"\|\s*safe|autoescape|Markup", template.read_text()), template.name


def test_every_template_is_compiled_before_anybody_asks(monkeypatch):
    compiled = []
    monkeypatch.setattr(rendering._templates, "get_template", compiled.append)
    rendering.compile_all()
    assert set(compiled) == {path.name for path in (HERE / "templates").iterdir()}
