#!/bin/sh
# Evaluate a model on AFEW: check the folder, score every clip of the validation part, and write the figures as tables.
#
#     examples/afew.sh AFEW FOLDER [MODEL]
#
# predictions.csv has a row per clip, labels.csv a row per emotion: recall with its 95 % interval, precision and F1.
# AFEW is the folder that contains Train_AFEW and Val_AFEW. `python examples/toy_afew.py toy/` makes a toy version.
set -eu
data="afew:$1?split=val" folder=$2 model=${3:-default}

mkdir -p "$folder"
fervid datasets check "$data"
fervid eval --data "$data" --model "$model" --predictions "$folder/predictions.csv" --overwrite --json \
    > "$folder/figures.json"
jq -r '"\(.accuracy * 100 | round) % of \(.n) clips named right, \(.n_no_face) without a face"' \
    "$folder/figures.json"
jq -r '["label", "clips", "recall", "low", "high", "precision", "f1"],
    (.per_class | to_entries[]
        | [.key, .value.support, .value.recall, .value.interval[0]?, .value.interval[1]?, .value.precision, .value.f1])
    | @csv' "$folder/figures.json" > "$folder/labels.csv"
