#!/bin/sh
# Teach a model your own clips: a folder per emotion (happy/, sad/, ...), each full of short videos of one face.
#
#     examples/finetune.sh CLIPS CLIPS-TO-JUDGE-BY MODEL-FOLDER [EPOCHS]
#
# Those to judge by should show other people: a model is better at faces that it has learnt. FERVID_MODEL is the model to start from; it stays as it is. An interrupted run goes on with
# `fervid train --resume --output MODEL-FOLDER`.
set -eu
clips=folder:$1 others=folder:$2 better=$3 epochs=${4:-10}

fervid datasets check "$clips"
echo "before:"
fervid eval --data "$others"
fervid finetune --data "$clips" --validation "$others" --output "$better" --epochs "$epochs"
echo "after:"
fervid eval --data "$others" --model "$better"
