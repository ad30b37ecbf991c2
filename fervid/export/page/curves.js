// Valence and arousal over time: the chosen row dark, the others faint.
const CURVE = 74; // height of valence, and of arousal, in pixels
const BETWEEN = 14;
const LONGEST_HOLE = 1.5; // the most seconds between windows that a line connects
const KINDS = ['valence', 'arousal'];

function drawCurves() {
  if (!curves) return;
  const { context, width } = prepare(byId('lines'), KINDS.length * CURVE + (KINDS.length - 1) * BETWEEN);
  const chosen = view.person ?? view.chosen;
  KINDS.forEach((kind, index) => {
    const top = index * (CURVE + BETWEEN);
    const middle = top + CURVE / 2;
    const line = { values: curves[kind], base: middle, y: (value) => middle - (value / 127) * (CURVE / 2 - 3) };
    context.fillStyle = theme.faint;
    context.fillRect(0, top, width, 1);
    context.fillRect(0, top + CURVE - 1, width, 1);
    context.fillStyle = theme.line;
    context.fillRect(0, middle, width, 1);
    if (view.person === null) {
      context.strokeStyle = theme.quiet;
      context.globalAlpha = 0.28;
      context.lineWidth = 1;
      for (const row of shownRows()) if (row.index !== chosen) drawLine(context, row, line, width, false);
      context.globalAlpha = 1;
    }
    if (chosen !== null) {
      context.strokeStyle = context.fillStyle = theme.ink;
      context.lineWidth = 1.5;
      drawLine(context, rows[chosen], line, width, true);
    }
    drawTimes(context, top, CURVE, width);
  });
}

/** Draw the pointer's time and the player's time across a curve. */
function drawTimes(context, top, tall, width) {
  for (const [time, colour, thick] of [[view.pointer?.time, theme.quiet, 1], [view.playing, theme.ink, 2]]) {
    if (time === null || time === undefined) continue;
    context.fillStyle = colour;
    context.fillRect((time - view.start) * scaleOf(width) - thick / 2, top, thick, tall);
  }
}

/** Draw a row's line { values, base, y } in one stroke; windows of the same pixel are averaged. */
function drawLine(context, row, line, width, isFilled) {
  const pieces = [];
  for (const track of row.tracks) {
    if (track.end > view.start && track.start < view.end) addPieces(pieces, track, line, scaleOf(width));
  }
  context.beginPath();
  for (const piece of pieces) {
    context.moveTo(piece.length > 2 ? piece[0] : piece[0] - 1.5, piece[1]);
    for (let at = piece.length > 2 ? 2 : 0; at < piece.length; at += 2) context.lineTo(piece[at], piece[at + 1]);
  }
  context.stroke();
  if (!isFilled) return;
  context.beginPath();
  for (const piece of pieces) {
    context.moveTo(piece[0], line.base);
    for (let at = 0; at < piece.length; at += 2) context.lineTo(piece[at], piece[at + 1]);
    context.lineTo(piece.at(-2), line.base);
  }
  context.globalAlpha = 0.12;
  context.fill();
  context.globalAlpha = 1;
}

/** Add a track's line as lists of x, y, x, y: a new list after each hole. */
function addPieces(pieces, track, { values, y }, scale) {
  const least = 255 * data.readable;
  const stop = track.first + track.windows;
  const from = Math.max(track.first, firstAtLeast(curves.time, view.start, track.first, stop) - 1);
  const to = Math.min(stop, firstAtLeast(curves.time, view.end, track.first, stop) + 1);
  let piece = [];
  let [pixel, x, sum, count, before] = [NaN, 0, 0, 0, -Infinity];
  const flush = () => {
    if (count) piece.push(count > 1 ? pixel + 0.5 : x, y(sum / count));
    [pixel, sum, count] = [NaN, 0, 0];
  };
  const finish = () => {
    flush();
    if (piece.length) pieces.push(piece);
    piece = [];
  };
  for (let at = from; at < to; at += 1) {
    const time = curves.time[at];
    if (curves.quality[at] < least || time - before > LONGEST_HOLE) finish();
    if (curves.quality[at] < least) continue;
    before = time;
    const here = (time - view.start) * scale;
    if (Math.floor(here) !== pixel) flush();
    [x, pixel] = [here, Math.floor(here)];
    sum += values[at];
    count += 1;
  }
  finish();
}

/** Describe the curves for screen readers. */
function describeCurves() {
  const chosen = view.person ?? view.chosen;
  if (!curves || chosen === null) return;
  const mean = (kind) => {
    let sum = 0;
    let count = 0;
    for (const track of rows[chosen].tracks) {
      for (let at = track.first; at < track.first + track.windows; at += 1) {
        if (curves.quality[at] >= 255 * data.readable) [sum, count] = [sum + curves[kind][at] / 127, count + 1];
      }
    }
    return count ? signed(sum / count) : 'unknown';
  };
  const text = `Valence and arousal of ${rows[chosen].name} over time. Mean valence ${mean('valence')}, mean arousal ${mean('arousal')}.`;
  byId('lines').setAttribute('aria-label', text);
}
