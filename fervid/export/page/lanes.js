// The bands: who showed what, when, on one canvas; the time axis above them and the whole below.
const AXIS = 34; // pixels above the first row: times, and the strip of shots
const ROW = 38;
const BAND = 18;
const REST = 6; // the height of neutral
const TOP = 14; // from a row's upper edge to its band: the peaks stand there
const OVERVIEW = 34;
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];
const LETTERS = '12px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif';

let theme = {};
const probe = document.body.appendChild(make('span', { class: 'away', 'aria-hidden': 'true' }));

/** The colours of the theme as a canvas takes them. */
function readTheme() {
  for (const name of ['page', 'card', 'ink', 'quiet', 'line', 'faint', 'track', 'accent']) {
    probe.style.color = `var(--${name})`;
    theme[name] = getComputedStyle(probe).color;
  }
}

/** A canvas as wide as its place, sharp on any screen. */
function prepare(canvas, height) {
  const ratio = window.devicePixelRatio || 1;
  const width = Math.max(1, Math.floor(canvas.parentElement.clientWidth));
  const wanted = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== wanted[0] || canvas.height !== wanted[1]) {
    [canvas.width, canvas.height] = wanted;
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = LETTERS;
  context.textBaseline = 'middle';
  return { context, width, height };
}

const scaleOf = (width) => width / (view.end - view.start); // pixels a second

/** Black or white, whichever reads better on a colour. */
const inkOn = colours.map((colour) => {
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const value = parseInt(colour.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  const light = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  return (light + 0.05) / 0.05 > 1.05 / (light + 0.05) ? '#000' : '#fff';
});
const nameWidth = new Map();

function widthOf(context, text) {
  if (!nameWidth.has(text)) nameWidth.set(text, context.measureText(text).width);
  return nameWidth.get(text);
}

function drawBands() {
  const canvas = byId('bands');
  const wanted = shownRows();
  const { context, width, height } = prepare(canvas, AXIS + wanted.length * ROW);
  drawAxis(context, width, height);
  wanted.forEach((row, place) => drawRow(context, row, AXIS + place * ROW, width));
  drawMoments(context, width, height);
}

function drawAxis(context, width, height) {
  const scale = scaleOf(width);
  const step = STEPS.find((each) => each * scale >= 76) ?? STEPS.at(-1);
  context.fillStyle = theme.quiet;
  for (let at = Math.ceil(view.start / step) * step; at <= view.end; at += step) {
    const x = (at - view.start) * scale;
    context.fillStyle = theme.faint;
    context.fillRect(Math.round(x), 20, 1, height - 20);
    context.fillStyle = theme.quiet;
    const text = clock(at, step < 1 ? 1 : 0);
    const half = context.measureText(text).width / 2;
    context.fillText(text, Math.min(Math.max(x - half, 0), width - 2 * half), 10);
  }
  drawShots(context, width, scale, height);
}

/** Shots in two shades, and where they are long enough their borders through all rows. */
function drawShots(context, width, scale, height) {
  const first = Math.max(0, firstAtLeast(data.shots, view.start) - 1);
  let border = -100;
  for (let at = first; at < data.shots.length && data.shots[at] < view.end; at += 1) {
    const left = Math.max(0, (data.shots[at] - view.start) * scale);
    const right = Math.min(width, ((data.shots[at + 1] ?? HIGH) - view.start) * scale);
    context.fillStyle = at % 2 ? theme.quiet : theme.line;
    context.fillRect(left, 23, Math.max(0.5, right - left), 4);
    if (at && left - border >= 12 && right - left >= 12) {
      context.fillStyle = theme.line;
      context.fillRect(Math.round(left), 27, 1, height - 27);
      border = left;
    }
  }
}

function drawRow(context, row, top, width) {
  const scale = scaleOf(width);
  const y = top + TOP;
  context.fillStyle = theme.track;
  for (const track of row.found) {
    if (track.end <= view.start || track.start >= view.end) continue;
    const left = Math.max(-8, (track.start - view.start) * scale);
    const right = Math.min(width + 8, (track.end - view.start) * scale);
    context.beginPath();
    context.roundRect(left, y, Math.max(1, right - left - 0.5), BAND, 3);
    context.fill();
  }
  const narrow = new Float64Array(Math.ceil(width) * labels.length); // seconds, by pixel and emotion
  let hasNarrow = false;
  for (const segment of segmentsWithin(row, view.start, view.end)) {
    const left = Math.max(-8, (segment.start - view.start) * scale);
    const right = Math.min(width + 8, (segment.end - view.start) * scale);
    if (right - left >= 2) {
      drawSegment(context, segment, left, right, y);
    } else {
      hasNarrow = true;
      narrow[Math.min(Math.ceil(width) - 1, Math.max(0, Math.floor(left))) * labels.length + segment.emotion] +=
        segment.end - segment.start;
    }
  }
  if (hasNarrow) drawNarrow(context, narrow, y, 1 / scale);
  context.globalAlpha = 1;
  drawPeaks(context, row, top, scale);
}

function drawSegment(context, segment, left, right, y) {
  const isResting = segment.emotion === neutral;
  const tall = isResting ? REST : BAND;
  const room = right - left > 4 ? 1 : 0.25; // a gap to the next one
  context.globalAlpha = isShown(segment.emotion) ? 1 : 0.12;
  context.fillStyle = colours[segment.emotion];
  context.beginPath();
  context.roundRect(left, y + (BAND - tall) / 2, right - left - room, tall, Math.min(3, (right - left) / 3));
  context.fill();
  if (isResting || !isShown(segment.emotion)) return;
  const text = labels[segment.emotion];
  const from = Math.max(left, 0);
  if (Math.min(right, context.canvas.clientWidth) - from > widthOf(context, text) + 12) {
    context.fillStyle = inkOn[segment.emotion];
    context.fillText(text, from + 6, y + BAND / 2 + 0.5);
  }
}

/** What is too short to see at this zoom: per pixel, expressions by their share of its time. */
function drawNarrow(context, narrow, y, pixel) {
  const wide = labels.length;
  for (let x = 0; x < narrow.length / wide; x += 1) {
    let expressed = 0;
    for (let emotion = 0; emotion < wide; emotion += 1) {
      if (emotion !== neutral && isShown(emotion)) expressed += narrow[x * wide + emotion];
    }
    if (neutral >= 0 && narrow[x * wide + neutral] > 0) {
      context.globalAlpha = isShown(neutral) ? 1 : 0.12;
      context.fillStyle = colours[neutral];
      context.fillRect(x, y + (BAND - REST) / 2, 1, REST);
    }
    context.globalAlpha = 1;
    const tall = Math.max(REST, Math.min(1, expressed / pixel) * BAND);
    let at = y + (BAND - tall) / 2;
    for (let emotion = 0; emotion < wide && expressed > 0; emotion += 1) {
      const spent = narrow[x * wide + emotion];
      if (emotion === neutral || !isShown(emotion) || spent <= 0) continue;
      context.fillStyle = colours[emotion];
      context.fillRect(x, at, 1, (tall * spent) / expressed);
      at += (tall * spent) / expressed;
    }
  }
}

/** The most telling peaks that have room beside each other, as arrows above the band. */
function drawPeaks(context, row, top, scale) {
  const taken = [];
  for (const peak of row.peaks) {
    if (peak.time < view.start || peak.time > view.end || !isShown(peak.emotion)) continue;
    const x = (peak.time - view.start) * scale;
    if (taken.some((other) => Math.abs(other - x) < 11)) continue;
    taken.push(x);
    context.fillStyle = colours[peak.emotion];
    context.beginPath();
    context.moveTo(x - 4.5, top + TOP - 9);
    context.lineTo(x + 4.5, top + TOP - 9);
    context.lineTo(x, top + TOP - 1.5);
    context.fill();
  }
}

/** The pointer's moment, the film's, and the keyboard's segment. */
function drawMoments(context, width, height) {
  const scale = scaleOf(width);
  const line = (time, colour, thick) => {
    context.fillStyle = colour;
    context.fillRect((time - view.start) * scale - thick / 2, 20, thick, height - 20);
  };
  if (view.pointer) line(view.pointer.time, theme.quiet, 1);
  if (view.playing !== null) line(view.playing, theme.ink, 2);
  if (!view.focus) return;
  const place = shownRows().indexOf(view.focus.row);
  if (place < 0) return;
  const left = (view.focus.segment.start - view.start) * scale;
  const right = (view.focus.segment.end - view.start) * scale;
  context.strokeStyle = theme.accent;
  context.lineWidth = 2;
  context.beginPath();
  context.roundRect(left - 2, AXIS + place * ROW + TOP - 3, Math.max(5, right - left + 3), BAND + 6, 5);
  context.stroke();
}

/** The whole film in one strip, and what part of it is shown above. */
function drawOverview() {
  const { context, width, height } = prepare(byId('overview'), OVERVIEW);
  const scale = width / (HIGH - LOW);
  context.fillStyle = theme.faint;
  context.fillRect(0, 0, width, height);
  const spent = new Float64Array(Math.ceil(width) * labels.length);
  for (const row of shownRows()) {
    for (const segment of row.segments) {
      if (segment.emotion === neutral || !isShown(segment.emotion)) continue;
      const [from, to] = [(segment.start - LOW) * scale, (segment.end - LOW) * scale];
      for (let x = Math.floor(from); x < to && x < width; x += 1) {
        spent[x * labels.length + segment.emotion] += (Math.min(to, x + 1) - Math.max(from, x)) / scale;
      }
    }
  }
  let most = 1 / scale; // seconds that fill the strip's height
  for (let x = 0; x < spent.length; x += labels.length) {
    most = Math.max(most, spent.subarray(x, x + labels.length).reduce((sum, value) => sum + value, 0));
  }
  for (let x = 0; x < spent.length / labels.length; x += 1) {
    let at = height;
    for (let emotion = 0; emotion < labels.length; emotion += 1) {
      const tall = (spent[x * labels.length + emotion] / most) * (height - 4);
      if (tall <= 0) continue;
      context.fillStyle = colours[emotion];
      context.fillRect(x, at - tall, 1, tall);
      at -= tall;
    }
  }
  const left = (view.start - LOW) * scale;
  const right = (view.end - LOW) * scale;
  context.globalAlpha = 0.65;
  context.fillStyle = theme.card;
  context.fillRect(0, 0, left, height);
  context.fillRect(right, 0, width - right, height);
  context.globalAlpha = 1;
  context.strokeStyle = isWhole() ? theme.line : theme.accent;
  context.lineWidth = 2;
  context.strokeRect(left + 1, 1, Math.max(2, right - left - 2), height - 2);
  if (view.playing !== null) {
    context.fillStyle = theme.ink;
    context.fillRect((view.playing - LOW) * scale - 1, 0, 2, height);
  }
}

/** The moment and the row at a place on a canvas of the timeline's width. */
function placeOf(event, canvas) {
  const box = canvas.getBoundingClientRect();
  const time = view.start + ((event.clientX - box.left) / box.width) * (view.end - view.start);
  const place = Math.floor((event.clientY - box.top - AXIS) / ROW);
  const row = canvas.id === 'bands' ? (shownRows()[place] ?? null) : null;
  return { time: Math.min(Math.max(time, view.start), view.end), row };
}
