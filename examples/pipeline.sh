#!/bin/sh
# A pipeline: seconds of each visible expression in a video, the longest first, straight from its bytes.
#
#     examples/pipeline.sh < movie.mp4
#
# Segments come as lines of JSON, each as soon as it is final; jq needs no more than a line at a time until the end.
set -eu
fervid analyze - --timeline - --format jsonl --quiet |
    jq -c 'select(.type == "segment") | {emotion, seconds: (.end.seconds - .start.seconds)}' |
    jq -rs 'group_by(.emotion)
        | map({emotion: .[0].emotion, seconds: (map(.seconds) | add)})
        | sort_by(-.seconds)[]
        | "\(.seconds * 10 | round / 10)\t\(.emotion)"'
