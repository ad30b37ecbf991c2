"""Faces: detection, landmarks, crops, and tracks within a shot. The only room that uses dlib."""
