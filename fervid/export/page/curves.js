// Valence and arousal over time: the chosen row's in ink, the others' faintly behind it.
const CURVE = 74; // pixels of each of the two
const BETWEEN = 14;
const LONGEST_HOLE = 1.5; // seconds between windows that a line is carried over
const KINDS = ['valence', 'arousal'];

function drawCurves() {
  if (!curves) return;
  const { context, width } = prepare(byId('lines'), KINDS.length * CURVE + (KINDS.length - 1) * BETWEEN);
  const chosen = view.person ?? view.chosen;
  KINDS.forEach((kind, place) => {
    const top = place * (CURVE + BETWEEN);
    const middle = top + CURVE / 2;
    context.fillStyle = theme.faint;
    context.fillRect(0, top, width, 1);
    context.fillRect(0, top + CURVE - 1, width, 1);
    context.fillStyle = theme.line;
    context.fillRect(0, middle, width, 1);
    if (view.person === null) {
      context.strokeStyle = theme.quiet;
      context.globalAlpha = 0.28;
      context.lineWidth = 1;
      for (const row of shownRows()) if (row.index !== chosen) drawLine(context, row, kind, middle, width, false);
      context.globalAlpha = 1;
    }
    if (chosen !== null) {
      context.strokeStyle = context.fillStyle = theme.ink;
      context.lineWidth = 1.5;
      drawLine(context, rows[chosen], kind, middle, width, true);
    }
    const scale = scaleOf(width);
    for (const [time, colour, thick] of [[view.pointer?.time, theme.quiet, 1], [view.playing, theme.ink, 2]]) {
      if (time === null || time === undefined) continue;
      context.fillStyle = colour;
      context.fillRect((time - view.start) * scale - thick / 2, top, thick, CURVE);
    }
  });
}

/** One row's line; where several windows share a pixel, their mean. */
function drawLine(context, row, kind, middle, width, isFilled) {
  const scale = scaleOf(width);
  const tall = CURVE / 2 - 3;
  const least = 255 * data.readable;
  for (const track of row.found) {
    if (track.end <= view.start || track.start >= view.end) continue;
    const stop = track.first + track.windows;
    const from = Math.max(track.first, firstAtLeast(curves.time, view.start, track.first, stop) - 1);
    const to = Math.min(stop, firstAtLeast(curves.time, view.end, track.first, stop) + 1);
    let line = [];
    let column = null; // [pixel, sum, count]
    let before = -Infinity;
    const flush = () => {
      if (column) line.push([column[2] > 1 ? column[0] + 0.5 : column[3], middle - (column[1] / column[2]) * tall]);
      column = null;
    };
    const finish = () => {
      flush();
      strokeLine(context, line, middle, isFilled);
      line = [];
    };
    for (let at = from; at < to; at += 1) {
      const time = curves.time[at];
      if (curves.quality[at] < least || time - before > LONGEST_HOLE) finish();
      if (curves.quality[at] < least) continue;
      before = time;
      const x = (time - view.start) * scale;
      if (column && Math.floor(x) !== column[0]) flush();
      column ??= [Math.floor(x), 0, 0, x];
      column[1] += curves[kind][at] / 127;
      column[2] += 1;
    }
    finish();
  }
}

function strokeLine(context, line, middle, isFilled) {
  if (!line.length) return;
  context.beginPath();
  if (line.length === 1) context.moveTo(line[0][0] - 1.5, line[0][1]);
  line.forEach(([x, y], at) => (at || line.length === 1 ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.stroke();
  if (!isFilled || line.length < 2) return;
  context.lineTo(line.at(-1)[0], middle);
  context.lineTo(line[0][0], middle);
  context.globalAlpha = 0.12;
  context.fill();
  context.globalAlpha = 1;
}

/** The curves in words, for who does not see them. */
function describeCurves() {
  const chosen = view.person ?? view.chosen;
  if (!curves || chosen === null) return;
  const mean = (kind) => {
    let sum = 0;
    let count = 0;
    for (const track of rows[chosen].found) {
      for (let at = track.first; at < track.first + track.windows; at += 1) {
        if (curves.quality[at] >= 255 * data.readable) [sum, count] = [sum + curves[kind][at] / 127, count + 1];
      }
    }
    return count ? signed(sum / count) : 'unknown';
  };
  const text = `Valence and arousal of ${rows[chosen].name} over time. Mean valence ${mean('valence')}, mean arousal ${mean('arousal')}.`;
  byId('lines').setAttribute('aria-label', text);
}
