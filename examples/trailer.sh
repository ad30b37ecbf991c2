#!/bin/sh
# Find moments for a trailer: write a list for the editing program, clips, and a reel to preview them.
#
#     examples/trailer.sh FILM FOLDER [EMOTION,EMOTION...]
set -eu
film=$1 folder=$2 emotions=${3:-happiness,surprise,sadness}

mkdir -p "$folder"
# Analyze once; everything below reads the timeline. An interrupted analysis resumes.
fervid analyze "$film" --timeline "$folder/timeline.json" --overwrite

# The ten most prominent moments, at least two seconds apart, with a second before and after.
fervid peaks "$folder/timeline.json" --emotion "$emotions" --top 10 --min-gap 2 --overwrite \
    --format csv --output "$folder/moments.csv" \
    --video "$film" --pad 1,1 --cut "$folder/clips" --montage "$folder/reel.mp4"
