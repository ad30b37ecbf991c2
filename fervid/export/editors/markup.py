"""XML as text: what both formats of it share."""

from __future__ import annotations

from xml.etree.ElementTree import Element, indent, tostring


def plain(text: str) -> str:
    """Text without what XML cannot hold: control signs but for tabs and line ends, and lone surrogates."""
    kept = (sign for sign in text if sign in "\t\n\r" or (sign >= " " and not "\ud800" <= sign <= "\udfff"))
    return "".join(sign for sign in kept if sign not in "\ufffe\uffff")


def document(root: Element, kind: str) -> str:
    """A whole document, with the declarations that its readers ask for."""
    indent(root)
    text = tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE {kind}>\n{text}\n'
