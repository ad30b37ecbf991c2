"""Text as masks of the pixels that it covers."""

from __future__ import annotations

from collections import OrderedDict

import cv2
import numpy as np

from fervid.errors import FervidError
from fervid.types import Floats


class Letters:
    """Text in OpenCV's own font, which covers most scripts, with a cache of masks."""

    LIMIT = 512  # cached masks

    def __init__(self) -> None:
        if not hasattr(cv2, "FontFace"):
            raise FervidError("drawing text needs OpenCV 5: pip install 'opencv-python-headless>=5'")
        self._font = cv2.FontFace("sans")
        self._kept: OrderedDict[tuple[str, int, int], Floats] = OrderedDict()

    def mask(self, text: str, size: int, weight: int) -> Floats:
        """Return the share of each pixel that the text covers, (H, W); H depends on `size` alone."""
        key = (text, size, weight)
        mask = self._kept.get(key)
        if mask is None:
            height = round(size * 1.4)
            width = max(1, self.width(text, size, weight)) + size
            canvas = np.zeros((height, width, 3), np.uint8)
            white = (255, 255, 255)
            cv2.putText(canvas, text, (size // 4, round(size * 1.08)), white, self._font, size, weight)
            filled = np.flatnonzero(canvas.any((0, 2)))
            end = int(filled[-1]) + 1 if len(filled) else size // 4 + 1
            mask = canvas[:, size // 4 : end, 0].astype(np.float32) / np.float32(255)
            self._kept[key] = mask
            if len(self._kept) > self.LIMIT:
                self._kept.popitem(last=False)
        return mask

    def width(self, text: str, size: int, weight: int) -> int:
        """Return the width that the text takes, in pixels."""
        box = cv2.getTextSize((0, 0), text, (0, 0), self._font, size, weight)
        return int(box[0] + box[2])

    def fit(self, text: str, size: int, weight: int, width: int) -> str:
        """Return the text, cut to `width`."""
        if self.width(text, size, weight) <= width:
            return text
        while text and self.width(text + "…", size, weight) > width:
            text = text[:-1]
        return text.rstrip() + "…"
