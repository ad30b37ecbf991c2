#!/bin/sh
# Print the seconds of each visible expression in a video, the longest first, reading the video from a pipe.
#
#     examples/pipeline.sh < movie.mp4
#
# fervid writes each segment as a line of JSON as soon as it is final, and the first jq passes it on.
set -eu
fervid analyze - --timeline - --format jsonl --quiet |
    jq -c 'select(.type == "segment") | {emotion, seconds: (.end.seconds - .start.seconds)}' |
    jq -rs 'group_by(.emotion)
        | map({emotion: .[0].emotion, seconds: (map(.seconds) | add)})
        | sort_by(-.seconds)[]
        | "\(.seconds * 10 | round / 10)\t\(.emotion)"'
