"""What the pages say: paragraphs that are read at a glance, and why a button is disabled."""

import ast
import re
from pathlib import Path

from dashboard.wording.glossary import GLOSSARY

PROJECT = Path(__file__).parents[2]
MOST_WORDS = 30
# Scripts and styles. A report is a document of its own.
NO_PROSE = re.compile(r"export default|display: |=>|<style>")
SOURCES = [
    path
    for folder in ("dashboard", "pages")
    for path in sorted((PROJECT / folder).rglob("*.py"))
    if path.name not in ("report.py", "delivery.py") and "rest" not in path.parts
]


def said(node: ast.AST) -> str | None:
    """Return the longest text that an expression makes; what is filled in counts as a word."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(p.value if isinstance(p, ast.Constant) else " x " for p in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return (said(left) or " x ") + (said(right) or " x ")
        case ast.IfExp(body=one, orelse=other):
            return max(said(one) or "x", said(other) or "x", key=len)
    return None


def paragraphs(source: str) -> list[str]:
    """Return the paragraphs that a module may show, without docstrings and tooltips."""
    found, known = [], set()
    for node in ast.walk(ast.parse(source)):  # an expression before its parts
        if isinstance(node, ast.Expr) and said(node.value) is not None:
            known.update(map(id, ast.walk(node)))
        if isinstance(node, ast.keyword) and node.arg == "help":
            known.update(map(id, ast.walk(node)))
        if id(node) in known or (text := said(node)) is None:
            continue
        known.update(map(id, ast.walk(node)))
        found += re.split(r"\n\s*\n| {2}\n|\n[-*] ", text)
    return found


def test_no_paragraph_of_a_page_is_long() -> None:
    long = [
        f"{path.relative_to(PROJECT)}: {text}"
        for path in SOURCES
        for text in paragraphs(path.read_text())
        if len(re.findall(r"\w[\w'’.-]*", text)) > MOST_WORDS and not NO_PROSE.search(text)
    ]
    assert long == []


def test_long_paragraphs_are_found_wherever_they_are_made() -> None:
    words = " ".join(["word"] * 20)
    source = f'''"""{words} {words}"""
st.info(f"{words} {{n}}" + ("{words}" if n else ""), help="{words} {words}")'''
    assert [len(text.split()) for text in paragraphs(source)] == [41]


def test_every_term_of_the_field_is_explained_where_it_stands() -> None:
    used = set()
    for path in SOURCES:
        used |= set(re.findall(r"GLOSSARY\[['\"]([^'\"]+)['\"]\]", path.read_text()))
    assert used == set(GLOSSARY)


def test_a_disabled_button_says_why() -> None:
    silent = [
        f"{path.relative_to(PROJECT)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and "disabled" in (given := {keyword.arg for keyword in node.keywords})
        and "help" not in given
    ]
    assert silent == []


def test_no_toolbar_lies_over_a_chart_but_that_of_a_map() -> None:
    # There it zooms and chooses a region, above the legend.
    without = [
        f"{path.relative_to(PROJECT)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", "") == "plotly_chart"
        and not any(keyword.arg == "config" for keyword in node.keywords)
    ]
    assert without == []


def test_headings_skip_no_level() -> None:
    # A title is the first level and `st.subheader` the third: a screen reader misses one.
    skipping = [
        str(path.relative_to(PROJECT)) for path in SOURCES if "st.subheader(" in path.read_text()
    ]
    assert skipping == []


def test_headings_bring_no_link_that_only_the_keyboard_finds():
    # One from Markdown has it, drawn for the mouse alone.
    heading = re.compile("^#{1,6} ", re.MULTILINE)
    found = [
        f"{path.name}: {node.value}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and heading.search(str(node.value))
    ]
    assert found == []
