"""Faces: detection, landmarks, crops, and tracks within a shot. The only package that uses dlib."""
