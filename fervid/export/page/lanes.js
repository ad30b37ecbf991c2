// The bands of all rows on a canvas, with the time axis above and the overview below.
const AXIS = 34; // pixels above the first row: times, and the strip of shots
const ROW = 38;
const BAND = 18;
const REST = 6; // height of neutral
const MUTED = 0.3; // opacity of an uncertain segment, inside its outline
const TOP = 14; // from a row's upper edge to its band: space for peaks
const OVERVIEW = 34;
const ROOM = 11; // the fewest pixels between peaks
const STEPS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];
const LETTERS = '12px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif';

let theme = {};
const probe = document.body.appendChild(make('span', { class: 'away', 'aria-hidden': 'true' }));

/** Read the theme's colours for the canvas. */
function readTheme() {
  for (const name of ['page', 'card', 'ink', 'quiet', 'line', 'faint', 'hatch', 'accent']) {
    probe.style.color = `var(--${name})`;
    theme[name] = getComputedStyle(probe).color;
  }
}

/** Fit a canvas to its parent's width and the screen's resolution. */
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

/** Black or white, whichever has more contrast with each emotion's colour. */
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
  wanted.forEach((row, index) => drawRow(context, row, AXIS + index * ROW, width));
  drawMoments(context, width, height);
}

function drawAxis(context, width, height) {
  const scale = scaleOf(width);
  const step = STEPS.find((each) => each * scale >= 76) ?? STEPS.at(-1) * Math.ceil(76 / scale / STEPS.at(-1));
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

/** Draw shots in two shades, and the borders of long ones through all rows. */
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
  context.fillStyle = hatching(context);
  context.beginPath();
  for (const gap of row.unread) {
    if (gap.end > view.start && gap.start < view.end) addBar(context, gap, scale, width, y + 2, BAND - 4, 0.5);
  }
  context.fill();
  const present = segmentsWithin(row, view.start, view.end);
  const seen = present.filter((segment) => (segment.end - segment.start) * scale >= 2);
  for (let emotion = 0; emotion < labels.length; emotion += 1) {
    for (const uncertain of [false, true]) {
      const shown = seen.filter((segment) => segment.emotion === emotion && segment.uncertain === uncertain);
      if (shown.length) drawEmotion(context, shown, emotion, uncertain, scale, width, y);
    }
  }
  if (seen.length < present.length) drawNarrow(context, present, scale, width, y);
  context.globalAlpha = 1;
  drawPeaks(context, row, top, scale);
}

const hatch = { colour: '', pattern: null };

/** Return the pattern of a face that cannot be read: slanted lines, unlike the plain line of neutral. */
function hatching(context) {
  if (hatch.colour === theme.hatch) return hatch.pattern;
  const square = document.createElement('canvas');
  square.width = square.height = 6;
  const lines = square.getContext('2d');
  lines.strokeStyle = theme.hatch;
  lines.lineWidth = 1.5;
  lines.beginPath();
  for (const from of [-6, 0, 6]) {
    lines.moveTo(from - 1, 7);
    lines.lineTo(from + 7, -1);
  }
  lines.stroke();
  Object.assign(hatch, { colour: theme.hatch, pattern: context.createPattern(square, 'repeat') });
  return hatch.pattern;
}

/** Add a bar to the path, with round corners if it is long enough. */
function addBar(context, stretch, scale, width, y, tall, gap) {
  const left = Math.max(-8, (stretch.start - view.start) * scale);
  const right = Math.min(width + 8, (stretch.end - view.start) * scale);
  const wide = Math.max(1, right - left - gap);
  if (wide < 6) context.rect(left, y, wide, tall);
  else context.roundRect(left, y, wide, tall, 3);
}

/** Draw a row's segments of an emotion as one path, since there may be thousands. */
function drawEmotion(context, shown, emotion, isUncertain, scale, width, y) {
  const isResting = emotion === neutral;
  const tall = isResting ? REST : BAND;
  const strength = isShown(emotion) ? 1 : 0.12;
  context.globalAlpha = isUncertain ? MUTED * strength : strength;
  context.fillStyle = context.strokeStyle = colours[emotion];
  context.lineWidth = 1;
  context.beginPath();
  for (const segment of shown) {
    const gap = (segment.end - segment.start) * scale > 4 ? 1 : 0.25; // to the next segment
    addBar(context, segment, scale, width, y + (BAND - tall) / 2, tall, gap);
  }
  context.fill();
  context.globalAlpha = strength;
  if (isUncertain) context.stroke();
  if (isResting || !isShown(emotion)) return;
  context.fillStyle = isUncertain ? theme.ink : inkOn[emotion];
  for (const segment of shown) {
    const left = Math.max(0, (segment.start - view.start) * scale);
    const right = Math.min(width, (segment.end - view.start) * scale);
    const text = [labelOf(segment), labels[emotion]].find((each) => right - left > widthOf(context, each) + 12);
    if (text) context.fillText(text, left + 6, y + BAND / 2 + 0.5);
  }
}

/** Draw segments too short to see: each pixel shows the expressions by their share of its time. */
function drawNarrow(context, present, scale, width, y) {
  const wide = labels.length;
  const last = Math.ceil(width) - 1;
  const spent = new Float64Array((last + 1) * wide); // seconds, by pixel and emotion
  for (const segment of present) {
    if ((segment.end - segment.start) * scale >= 2) continue;
    const x = Math.min(last, Math.max(0, Math.floor((segment.start - view.start) * scale)));
    spent[x * wide + segment.emotion] += segment.end - segment.start;
  }
  context.globalAlpha = 1;
  for (let x = 0; x <= last; x += 1) {
    let expressed = 0;
    for (let emotion = 0; emotion < wide; emotion += 1) {
      if (emotion !== neutral && isShown(emotion)) expressed += spent[x * wide + emotion];
    }
    if (neutral >= 0 && spent[x * wide + neutral] > 0 && isShown(neutral)) {
      context.fillStyle = colours[neutral];
      context.fillRect(x, y + (BAND - REST) / 2, 1, REST);
    }
    const tall = Math.max(REST, Math.min(1, expressed * scale) * BAND);
    let at = y + (BAND - tall) / 2;
    for (let emotion = 0; emotion < wide && expressed > 0; emotion += 1) {
      const seconds = spent[x * wide + emotion];
      if (emotion === neutral || !isShown(emotion) || seconds <= 0) continue;
      context.fillStyle = colours[emotion];
      context.fillRect(x, at, 1, (tall * seconds) / expressed);
      at += (tall * seconds) / expressed;
    }
  }
}

/** Draw the highest peaks that fit next to each other, as arrows above the band. */
function drawPeaks(context, row, top, scale) {
  const taken = new Map(); // pixels by stretches of ROOM
  for (const peak of row.peaks) {
    if (peak.time < view.start || peak.time > view.end || !isShown(peak.emotion)) continue;
    const x = (peak.time - view.start) * scale;
    const slot = Math.floor(x / ROOM);
    if ([slot - 1, slot, slot + 1].some((near) => Math.abs((taken.get(near) ?? -ROOM) - x) < ROOM)) continue;
    taken.set(slot, x);
    context.fillStyle = colours[peak.emotion];
    context.beginPath();
    context.moveTo(x - 4.5, top + TOP - 9);
    context.lineTo(x + 4.5, top + TOP - 9);
    context.lineTo(x, top + TOP - 1.5);
    context.fill();
  }
}

/** Draw the pointer's time, the player's time, and the segment that has the keyboard focus. */
function drawMoments(context, width, height) {
  const scale = scaleOf(width);
  const line = (time, colour, thick) => {
    context.fillStyle = colour;
    context.fillRect((time - view.start) * scale - thick / 2, 20, thick, height - 20);
  };
  if (view.pointer) line(view.pointer.time, theme.quiet, 1);
  if (view.playing !== null) line(view.playing, theme.ink, 2);
  if (!view.focus) return;
  const index = shownRows().indexOf(view.focus.row);
  if (index < 0) return;
  const left = (view.focus.segment.start - view.start) * scale;
  const right = (view.focus.segment.end - view.start) * scale;
  context.strokeStyle = theme.accent;
  context.lineWidth = 2;
  context.beginPath();
  context.roundRect(left - 2, AXIS + index * ROW + TOP - 3, Math.max(5, right - left + 3), BAND + 6, 5);
  context.stroke();
}

const strip = { canvas: document.createElement('canvas'), key: '' }; // the whole video, drawn once

/** Draw the overview: the whole video, with the part shown above. */
function drawOverview() {
  const canvas = byId('overview');
  const { context, width, height } = prepare(canvas, OVERVIEW);
  const scale = width / (HIGH - LOW);
  const key = [canvas.width, theme.faint, [...view.emotions], view.person, view.allRows].join();
  if (strip.key !== key) {
    strip.key = key;
    drawStrip(width, height, scale);
  }
  context.drawImage(strip.canvas, 0, 0, width, height);
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

/** Draw the time of each expression in the shown rows, per pixel of the whole video. */
function drawStrip(width, height, scale) {
  strip.canvas.width = width;
  strip.canvas.height = height;
  const context = strip.canvas.getContext('2d');
  context.fillStyle = theme.faint;
  context.fillRect(0, 0, width, height);
  const wide = labels.length;
  const spent = new Float64Array(width * wide);
  for (const row of shownRows()) {
    for (const segment of row.segments) {
      if (segment.emotion === neutral || !isShown(segment.emotion)) continue;
      const [from, to] = [(segment.start - LOW) * scale, (segment.end - LOW) * scale];
      for (let x = Math.floor(from); x < to && x < width; x += 1) {
        spent[x * wide + segment.emotion] += (Math.min(to, x + 1) - Math.max(from, x)) / scale;
      }
    }
  }
  let most = 1 / scale; // seconds that fill the strip's height
  for (let x = 0; x < spent.length; x += wide) {
    most = Math.max(most, spent.subarray(x, x + wide).reduce((sum, value) => sum + value, 0));
  }
  for (let x = 0; x < width; x += 1) {
    let at = height;
    for (let emotion = 0; emotion < wide; emotion += 1) {
      const tall = (spent[x * wide + emotion] / most) * (height - 4);
      if (tall <= 0) continue;
      context.fillStyle = colours[emotion];
      context.fillRect(x, at - tall, 1, tall);
      at -= tall;
    }
  }
}

/** Return the time and row at the pointer's position on a canvas. */
function positionOf(event, canvas) {
  const box = canvas.getBoundingClientRect();
  const time = view.start + ((event.clientX - box.left) / box.width) * (view.end - view.start);
  const index = Math.floor((event.clientY - box.top - AXIS) / ROW);
  const row = canvas.id === 'bands' ? (shownRows()[index] ?? null) : null;
  return { time: Math.min(Math.max(time, view.start), view.end), row };
}
