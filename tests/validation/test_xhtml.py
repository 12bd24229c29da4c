from __future__ import annotations

import pytest

from fhir_server.validation.xhtml import problems

DIV = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'


@pytest.mark.parametrize(
    "inside",
    [
        "text",
        "<p>a <b>bold</b> &amp; &#160; word</p>",
        '<table border="1"><tr><td colspan="2">x</td></tr></table>',
        '<a href="https://x.y">x</a>',
        '<a name="n"/>x<a href="#n">back</a>',
        '<img src="#i" alt="x"/>',
        "<!-- a comment -->x",
    ],
)
def test_good_narrative(inside: str) -> None:
    assert list(problems(DIV.format(inside), {})) == []


@pytest.mark.parametrize(
    "div",
    [
        DIV.format(""),
        DIV.format("  \n"),
        DIV.format("<script>x</script>"),
        DIV.format("<object>x</object>"),
        DIV.format("<form>x</form>"),
        DIV.format('<p onclick="x()">x</p>'),
        DIV.format('<a href="javascript:x()">x</a>'),
        DIV.format('<a href="#gone">x</a>'),
        DIV.format("&nbsp;"),
        DIV.format("<p>x"),
        "<div>no namespace</div>",
        '<p xmlns="http://www.w3.org/1999/xhtml">no div</p>',
        '<!DOCTYPE x [<!ENTITY y "z">]>' + DIV.format("&y;"),
        "plain",
        "",
    ],
)
def test_bad_narrative(div: str) -> None:
    assert list(problems(div, {}))


def test_link_to_an_element_of_the_resource() -> None:
    div = DIV.format('<a href="#c1">x</a>')
    assert list(problems(div, {"contained": [{"id": "c1"}]})) == []
