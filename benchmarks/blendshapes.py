"""Write MediaPipe's blendshapes of a clip's largest face as JSON; run by units.py, with mediapipe 1.2.2.

    PYTHON benchmarks/blendshapes.py CLIP face_landmarker.task OUT.json

OUT.json has a list with a score per frame for each blendshape, null where no face is found.
"""

from __future__ import annotations

import json
import sys

import cv2
import mediapipe
from mediapipe.tasks import python
from mediapipe.tasks.python import vision


def main(clip: str, task: str, target: str) -> None:
    """Write the blendshapes of a clip."""
    options = vision.FaceLandmarkerOptions(
        base_options=python.BaseOptions(model_asset_path=task),
        output_face_blendshapes=True,
        num_faces=2,
        running_mode=vision.RunningMode.VIDEO,
    )
    rows = []
    with vision.FaceLandmarker.create_from_options(options) as landmarker:
        video = cv2.VideoCapture(clip)
        rate = video.get(cv2.CAP_PROP_FPS)
        while True:
            is_read, picture = video.read()
            if not is_read:
                break
            image = mediapipe.Image(mediapipe.ImageFormat.SRGB, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
            result = landmarker.detect_for_video(image, round(len(rows) * 1000 / rate))
            sizes = [max(p.x for p in face) - min(p.x for p in face) for face in result.face_landmarks]
            largest = result.face_blendshapes[sizes.index(max(sizes))] if sizes else []
            rows.append({shape.category_name: round(shape.score, 5) for shape in largest})
    names = next((list(row) for row in rows if row), [])
    with open(target, "w") as stream:
        json.dump({name: [row.get(name) for row in rows] for name in names}, stream)


if __name__ == "__main__":
    main(*sys.argv[1:])
