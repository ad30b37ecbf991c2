#!/bin/sh
# Find moments for a trailer: a list for the editing program, clips, and a reel that is ready to show.
#
#     examples/trailer.sh FILM FOLDER [EMOTION,EMOTION...]
#
# FOLDER gets timeline.json, moments.csv (the ten highest moments), clips/ (one file for each of them, with a second
# before and after), cut.tsv (what the reel shows) and reel.mp4. It needs jq and ffmpeg, and writes over what is there.
#
# The reel has up to ten moments of 1.2 to 3.2 seconds:
# - Which: the highest of each expression, then the highest of the rest, but each expression of a person at most twice.
# - From when to when: from a moment before the onset to a moment after the offset, and never over a cut of the film,
#   since a flash of the next shot spoils a clip. A longer moment is shown around its apex. A shorter one is left out.
# - In which order: that of the film, except that neither the person nor the expression is the same twice in a row if
#   another moment is left.
# - Joins: pictures and sound dissolve for a fifth of a second, and the sound fades out at the end.
set -eu
film=$1 folder=$2 emotions=${3:-happiness,surprise,sadness,anger}
for program in jq ffmpeg; do
    command -v $program >/dev/null || { echo "trailer.sh needs $program" >&2; exit 1; }
done

mkdir -p "$folder"
# Analyze once; everything below reads the timeline. An interrupted analysis resumes.
fervid analyze "$film" --timeline "$folder/timeline.json" --overwrite

# The ten most prominent moments, at least two seconds apart, with a second before and after.
fervid peaks "$folder/timeline.json" --emotion "$emotions" --top 10 --min-gap 2 --overwrite \
    --format csv --output "$folder/moments.csv" --video "$film" --pad 1,1 --cut "$folder/clips"

# A line for each moment of the reel: start and length in the player's seconds, emotion, person.
fervid peaks "$folder/timeline.json" --emotion "$emotions" --min-gap 2 --format json |
    jq -r --slurpfile timeline "$folder/timeline.json" '
        def who: .person // "T\(.track)";
        # The part of the moment to show, a twentieth of a second away from the cuts of its shot.
        def part: .apex.seconds as $apex
            | ([$timeline[0].shots[] | select(.start.seconds <= $apex)] | last) as $shot
            | ([.onset.seconds - 0.4, $apex - 1.4] | max) as $from
            | ([.offset.seconds + 0.6, $from + 1.8] | max) as $to
            | ([$from, $shot.start.seconds + 0.05] | max) as $from
            | ([$to, $from + 3.2, $shot.end.seconds - 0.05] | min) as $to
            | . + {from: $from, length: ($to - $from)};
        def choose: reduce .[] as $new ([]; if length < 10
            and all(.[]; .from >= $new.from + $new.length or $new.from >= .from + .length)
            and (map(select(who == ($new | who) and .emotion == $new.emotion)) | length) < 2
            then . + [$new] else . end);
        def arrange: {left: sort_by(.from), done: []}
            | until(.left == []; .done[-1] as $last
                | ([.left[] | select($last == null or (who != ($last | who) and .emotion != $last.emotion))]
                    + [.left[] | select(who != ($last | who))] + [.left[] | select(.emotion != $last.emotion)]
                    + .left)[0] as $next
                | {left: (.left - [$next]), done: (.done + [$next])})
            | .done;
        [.peaks[] | part | select(.length >= 1.2)]
        | (group_by(.emotion) | map(min_by(.rank))) as $firsts
        | $firsts + (. - $firsts) | choose | arrange[]
        | [.from + $timeline[0].source.clock_offset, .length, .emotion, who] | @tsv' >"$folder/cut.tsv"
[ -s "$folder/cut.tsv" ] || { echo "no moment is long enough for a reel" >&2; exit 1; }

# The filters of ffmpeg: all parts at one frame rate, each dissolving into the next.
sound=$(jq '.source.audio_channels > 0' "$folder/timeline.json")
filters=$(jq -Rrs --argjson sound "$sound" --arg rate "$(jq -r '.source.rate // "25"' "$folder/timeline.json")" '
    [split("\n")[] | select(. != "") | split("\t")[1] | tonumber] as $lengths
    | ($lengths | length) as $n
    | [range($n) | "[\(.):v:0]fps=\($rate),settb=AVTB,format=yuv420p[v\(.)]",
        if $sound then "[\(.):a:0]aresample=48000:async=1:first_pts=0,apad,atrim=duration=\($lengths[.])[a\(.)]"
        else empty end]
    + [range(1; $n) | "[\(if . == 1 then "v0" else "x\(. - 1)" end)][v\(.)]xfade=duration=0.2"
        + ":offset=\(($lengths[:.] | add) - . * 0.2)[x\(.)]",
        if $sound then "[\(if . == 1 then "a0" else "y\(. - 1)" end)][a\(.)]acrossfade=duration=0.2[y\(.)]"
        else empty end]
    + ["[\(if $n == 1 then "v0" else "x\($n - 1)" end)]null[picture]",
        if $sound then "[\(if $n == 1 then "a0" else "y\($n - 1)" end)]afade=type=out:duration=0.4"
            + ":start_time=\(($lengths | add) - ($n - 1) * 0.2 - 0.4)[sound]" else empty end]
    | join(";")' "$folder/cut.tsv")

set --
while read -r start length _; do
    set -- "$@" -ss "$start" -t "$length" -i "$film"
done <"$folder/cut.tsv"
if [ "$sound" = true ]; then set -- "$@" -map '[sound]' -c:a aac -b:a 192k; fi
ffmpeg -nostdin -v error -y "$@" -filter_complex "$filters" -map '[picture]' \
    -c:v libx264 -crf 18 -preset fast -movflags +faststart "$folder/reel.mp4"
echo "wrote $folder/reel.mp4" >&2
