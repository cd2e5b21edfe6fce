"""Origins, as browsers write them."""

from __future__ import annotations

import pytest

from tools.environment import origin


@pytest.mark.parametrize(
    ("url", "written"),
    [
        ("http://127.0.0.1:8000/a?b#c", "http://127.0.0.1:8000"),
        ("HTTP://Shop.Example:80/", "http://shop.example"),
        ("https://shop.example:443", "https://shop.example"),
        ("https://shop.example:80", "https://shop.example:80"),
        ("http://ann:secret@shop.example/", "http://shop.example"),
        ("http://shop.example@evil.example/", "http://evil.example"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
        ("https://Stra\u00dfe.example/", "https://xn--strae-oqa.example"),
        ("file:///a/b.html", "file://"),
        ("app:mousepad?notes.txt", "app:mousepad"),
    ],
)
def test_an_origin_is_written_as_a_browser_writes_it(url: str, written: str) -> None:
    """Else what is allowed would not be what is visited."""
    assert origin(url) == written


@pytest.mark.parametrize("url", ["http://[", "http://ex\u2100mple.com/", "http://a:99999/", "http://a:b/"])
def test_what_is_no_address_has_none(url: str) -> None:
    """It is an error, never an origin that something else could have too."""
    with pytest.raises(ValueError):
        origin(url)
