#!/bin/sh
# Fine-tune a model on your own clips: a folder per emotion (happy/, sad/, ...), each with short videos of one face.
#
#     examples/finetune.sh CLIPS OTHERS MODEL-FOLDER [EPOCHS]
#
# OTHERS are clips for the evaluation. They should show other people: a model is better at faces that it was trained on.
# FERVID_MODEL is the model to start from; it is not changed. Resume an interrupted run with
# `fervid train --resume --output MODEL-FOLDER`.
set -eu
clips=folder:$1 others=folder:$2 better=$3 epochs=${4:-10}

fervid datasets check "$clips"
echo "before:"
fervid eval --data "$others"
fervid finetune --data "$clips" --validation "$others" --output "$better" --epochs "$epochs"
echo "after:"
fervid eval --data "$others" --model "$better"
