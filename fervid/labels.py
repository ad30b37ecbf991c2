"""The emotions: their labels, words, colours, and their valence and arousal."""

from collections.abc import Mapping

EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")
NEUTRAL = "neutral"

# Pleasure and arousal from Russell & Mehrabian (1977). They have no contempt; its values are a convention.
VALENCE_AROUSAL = {
    "anger": (-0.51, 0.59),
    "disgust": (-0.60, 0.35),
    "fear": (-0.64, 0.60),
    "happiness": (0.81, 0.51),
    "sadness": (-0.63, -0.27),
    "surprise": (0.40, 0.67),
    "neutral": (0.0, 0.0),
    "contempt": (-0.35, 0.10),
}

CONTEMPT = "contempt"  # appended to EMOTIONS by datasets and models that have it

# Colours of all drawings, distinct with any kind of colour vision, after the palette of Okabe & Ito (2008).
# Small patches should also have the name beside them.
COLOURS: Mapping[str, str] = {
    "anger": "#D55E00",
    "disgust": "#6B8E23",
    "fear": "#7B4FA3",
    "happiness": "#E69F00",
    "sadness": "#0072B2",
    "surprise": "#CC79A7",
    "neutral": "#8C8C8C",
    "contempt": "#8B5A2B",
}

# "calm" is not a synonym of neutral: RAVDESS has both, and its actors play them differently.
WORDS = {
    "anger": ("anger", "angry", "ang"),
    "disgust": ("disgust", "disgusted", "dis"),
    "fear": ("fear", "fearful", "afraid", "scared", "fea"),
    "happiness": ("happiness", "happy", "joy", "joyful", "hap"),
    "sadness": ("sadness", "sad"),
    "surprise": ("surprise", "surprised", "sur"),
    "neutral": ("neutral", "neu"),
    "contempt": ("contempt", "contemptuous"),
}
LABELS = {word: label for label, words in WORDS.items() for word in words}


def label_of(word: str) -> str | None:
    """Return the label that a word means, in upper or lower case, or None."""
    return LABELS.get(word.strip().casefold())
