#!/bin/sh
# Evaluate a model on AFEW: check the folder, then score every clip of the validation part.
#
#     examples/afew.sh AFEW FOLDER [MODEL]
#
# AFEW is the folder that contains Train_AFEW and Val_AFEW. `python examples/toy_afew.py toy/` makes a toy version.
set -eu
data="afew:$1?split=val" folder=$2 model=${3:-default}

mkdir -p "$folder"
fervid datasets check "$data"
fervid eval --data "$data" --model "$model" --predictions "$folder/predictions.csv" --overwrite --json \
    > "$folder/figures.json"
jq -r '"\(.accuracy * 100 | round) % of \(.n) clips named right, \(.n_no_face) without a face"' \
    "$folder/figures.json"
