"""URLs, and text without their secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from fervid.files import urls


@pytest.mark.parametrize(
    "name", ["https://host/a.mp4", "s3://bucket/a", "simplecache::http://host/a", "zip://a.mp4::s3://b/c.zip"]
)
def test_a_url(name: str) -> None:
    assert urls.is_url(name)


@pytest.mark.parametrize("name", ["film.mp4", "a::b", "C:\\a", "c://x", "/a/http://b", "-", "::http://a"])
def test_what_is_no_url(name: str) -> None:
    assert not urls.is_url(name)


def test_a_file_with_the_name_of_a_url_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "http:").mkdir()
    (tmp_path / "http:" / "film.mp4").touch()
    assert not urls.is_url("http://film.mp4")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://host:81/a/b.mp4", "https://host:81/a/b.mp4"),
        ("https://me:pw@host/a?b#c", "https://host/a"),
        ("https://token@host/a#c", "https://host/a"),
        ("http://me:pw@[::1]:80/a", "http://[::1]:80/a"),
        ("http://me:p/w@host/a", "http://***"),
        ("http://me:p#w@host/a", "http://***"),
        ("http://me:p?w@host/a", "http://***"),
        ("s3://bucket/key?x#1.mp4", "s3://bucket/key?x#1.mp4"),
        ("abfs://a/b.mp4?sig=x/y", "abfs://a/b.mp4"),
        ("simplecache::https://me:pw@host/a?b", "simplecache::https://host/a"),
        ("zip://a.mp4::s3://me:pw@b/c.zip?d=e", "zip://a.mp4::s3://b/c.zip"),
    ],
)
def test_redacted(url: str, expected: str) -> None:
    assert urls.redacted(url) == expected


def test_text_is_scrubbed_of_urls_and_their_secrets() -> None:
    url = "http://me:pass%20word@host/a b.mp4?token=0123456789&n=1"
    hidden = urls.secrets(f"--video={url}")
    assert urls.scrubbed(f"no {url}: 'pass word' or 0123456789 (n=1).", hidden) == (
        "no http://host/a b.mp4?***: '***' or *** (n=1)."
    )
    assert (
        urls.scrubbed("see https://a.b/c?d, and (http://me:x@y/z).") == "see https://a.b/c, and (http://y/z)."
    )
    plain = "a film at https://host/a.mp4: 50% of s3://bucket/b?c.mp4"
    assert urls.scrubbed(plain, urls.secrets("https://host/a.mp4")) == plain


@pytest.mark.parametrize("word", ["a" * 300_000, "ab::" * 100_000, "a" * 300_000 + "://x"])
def test_a_long_word_takes_no_longer_than_its_length(word: str) -> None:
    assert urls.scrubbed(f"{word} http://u:secret@host/") == f"{word} http://host/"
