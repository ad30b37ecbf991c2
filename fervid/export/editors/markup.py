"""XML as text."""

from __future__ import annotations

from xml.etree.ElementTree import Element, indent, tostring


def plain(text: str) -> str:
    """Return text without the characters that XML forbids: most control characters, and lone surrogates."""
    kept = (char for char in text if char in "\t\n\r" or (char >= " " and not "\ud800" <= char <= "\udfff"))
    return "".join(char for char in kept if char not in "\ufffe\uffff")


def document(root: Element, kind: str) -> str:
    """Return an XML document with its declarations."""
    indent(root)
    text = tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE {kind}>\n{text}\n'
