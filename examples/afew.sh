#!/bin/sh
# Score a model on AFEW: what the folder holds, then every clip of its validation part.
#
#     examples/afew.sh AFEW FOLDER [MODEL]
#
# AFEW is the folder that holds Train_AFEW and Val_AFEW. `python examples/toy_afew.py toy/` makes a toy of it.
set -eu
data="afew:$1?split=val" folder=$2 model=${3:-default}

mkdir -p "$folder"
fervid datasets check "$data"
fervid eval --data "$data" --model "$model" --predictions "$folder/predictions.csv" --overwrite --json \
    > "$folder/figures.json"
jq -r '"\(.accuracy * 100 | round) % of \(.n) clips named right, \(.n_no_face) without a face"' \
    "$folder/figures.json"
