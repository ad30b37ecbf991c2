// The page's data, unpacked, and helpers that all other files use.
const data = JSON.parse(document.getElementById('data').textContent);
const { labels, colours, neutral } = data;
const LOW = data.range[0]; // seconds from the video's first frame
const HIGH = Math.max(data.range[1], LOW + 0.001);

const byId = (id) => document.getElementById(id);

/** Make an element with properties and children; strings are always text, never markup. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === 'class') element.className = value;
    else if (name in element && !name.startsWith('aria')) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function swatch(emotion) {
  const mark = make('i', { class: 'swatch' });
  mark.style.background = colours[emotion];
  return mark;
}

const byLabel = labels.map((_, emotion) => emotion).sort((a, b) => (a === neutral) - (b === neutral));
const byScore = (scores) => scores.map((_, emotion) => emotion).sort((a, b) => scores[b] - scores[a]);

/** Make a bar of the emotions' shares, side by side; `whole` is the value of its full width. */
function stack(values, whole, order = byLabel) {
  const bar = make('div', { class: 'stack', 'aria-hidden': 'true' });
  for (const emotion of order) {
    if (!(values[emotion] > 0)) continue;
    const piece = make('i');
    piece.style.width = `${(100 * values[emotion]) / whole}%`;
    piece.style.background = colours[emotion];
    bar.append(piece);
  }
  return bar;
}

/** Make a row's picture; without one, an empty circle. */
function faceOf(row) {
  return row.face ? make('img', { class: 'face', alt: '', src: row.face }) : make('span', { class: 'face', 'aria-hidden': 'true' });
}

function unpack(text, kind) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let at = 0; at < letters.length; at += 1) bytes[at] = letters.charCodeAt(at);
  return new kind(bytes.buffer);
}

/** Format a time: 12.3 s is 0:12.3; hours only if there are any. */
function clock(seconds, decimals = 1) {
  const unit = 10 ** decimals;
  const all = Math.round(Math.max(0, seconds) * unit);
  const rest = ((all % (60 * unit)) / unit).toFixed(decimals).padStart(decimals ? 3 + decimals : 2, '0');
  const minutes = Math.floor(all / (60 * unit));
  if (minutes < 60) return `${minutes}:${rest}`;
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, '0')}:${rest}`;
}

/** Format a duration: 0.4 s, 23 s, 4 min 5 s, 1 h 4 min. */
function length(seconds) {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min${whole % 60 ? ` ${whole % 60} s` : ''}`;
  const minutes = Math.round(whole / 60);
  return `${Math.floor(minutes / 60)} h${minutes % 60 ? ` ${minutes % 60} min` : ''}`;
}

function percent(share) {
  if (!Number.isFinite(share)) return '–';
  const value = 100 * share;
  return value > 0 && value < 1 ? '<1 %' : `${Math.round(value)} %`;
}

const signed = (value) => `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(2)}`;
const plural = (count, singular, many = `${singular}s`) => `${count.toLocaleString('en')} ${count === 1 ? singular : many}`;

/** Format a number with `digits` decimals as Python does: ties go to the even digit. */
function fixed(value, digits) {
  const text = value.toFixed(digits);
  const scaled = value * 2 ** (digits + 1);
  const isTie = Number.isInteger(scaled) && scaled % 2 !== 0;
  if (!isTie || Number(text.at(-1)) % 2 === 0) return text;
  return (Number(text) - Math.sign(value) * 10 ** -digits).toFixed(digits);
}

/** Turn columns of the same length into a list of objects. */
function unfold(columns) {
  const names = Object.keys(columns);
  return columns[names[0]].map((_, at) => Object.fromEntries(names.map((name) => [name, columns[name][at]])));
}

const segments = unfold(data.segments);
/** Return the text of a segment's emotion: happiness, or uncertain: happiness. */
const labelOf = (segment) => `${segment.uncertain ? 'uncertain: ' : ''}${labels[segment.emotion]}`;
/** Return the seconds of a pts, rounded as in JSON. */
const secondsOf = (pts) => Number(fixed(((pts - data.clock.start) * data.clock.base[0]) / data.clock.base[1], 6));
const peaks = unfold(data.peaks).map((peak, index) => ({
  ...peak,
  start: secondsOf(peak.onset),
  time: secondsOf(peak.apex),
  end: secondsOf(peak.offset),
  picture: data.pictures[index],
  mark: data.marks[index],
  why: data.why?.[index] ?? null,
}));
const tracks = unfold(data.tracks);
const rows = data.rows.map((row, index) => ({ ...row, index, given: row.name, segments: [], peaks: [], tracks: [] }));
const BRIEF = 0.5; // seconds on screen; rows of less are folded away
for (const segment of segments) rows[segment.row].segments.push(segment);
for (const peak of peaks) rows[peak.row].peaks.push(peak);
const ROUNDING = 0.002; // seconds: a gap between segments that comes from rounding
let windowsSoFar = 0;
tracks.forEach((track, index) => {
  track.blinks = data.units?.blinks[index] ?? null; // null: not counted
  track.first = windowsSoFar;
  windowsSoFar += track.windows;
  rows[track.row].tracks.push(track);
});
for (const row of rows) {
  row.segments.sort((a, b) => a.start - b.start);
  row.tracks.sort((a, b) => a.start - b.start);
  row.longest = row.segments.reduce((most, segment) => Math.max(most, segment.end - segment.start), 0);
  row.unread = unreadOf(row);
}

/** Return the stretches of a row in which a face is on screen and cannot be read. */
function unreadOf(row) {
  const ends = new Map(row.tracks.map((track) => [track.id, track.start]));
  const gaps = [];
  const add = (start, end) => {
    if (end - start > ROUNDING) gaps.push({ start, end });
  };
  for (const segment of row.segments) {
    add(ends.get(segment.track), segment.start);
    ends.set(segment.track, segment.end);
  }
  for (const track of row.tracks) add(ends.get(track.id), track.end);
  return gaps;
}

const curves = data.windows && {
  time: unpack(data.windows.time, Float32Array),
  scores: unpack(data.windows.scores, Uint8Array),
  valence: unpack(data.windows.valence, Int8Array),
  arousal: unpack(data.windows.arousal, Int8Array),
  quality: unpack(data.windows.quality, Uint8Array),
  units: Object.fromEntries(Object.entries(data.units?.values ?? {}).map(([name, text]) => [name, unpack(text, Uint8Array)])),
};

/** Return the first index in [low, high) of an ascending list with a value of at least `wanted`. */
function firstAtLeast(values, wanted, low = 0, high = values.length) {
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Return the segments of a row that overlap [start, end). */
function segmentsWithin(row, start, end) {
  let low = 0;
  let high = row.segments.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (row.segments[middle].start < start - row.longest) low = middle + 1;
    else high = middle;
  }
  const within = [];
  for (; low < row.segments.length && row.segments[low].start < end; low += 1) {
    if (row.segments[low].end > start) within.push(row.segments[low]);
  }
  return within;
}

const segmentAt = (row, time) => segmentsWithin(row, time, time + 1e-6)[0] ?? null;
const trackAt = (row, time) => row.tracks.find((track) => track.start <= time && time < track.end) ?? null;

/** Interpolate a track's curves at a time; null if it has none. */
function readingAt(track, time) {
  if (!curves || !track || !track.windows) return null;
  const stop = track.first + track.windows;
  const right = Math.min(firstAtLeast(curves.time, time, track.first, stop), stop - 1);
  const left = Math.max(track.first, right - 1);
  const gap = curves.time[right] - curves.time[left];
  const weight = gap > 0 ? Math.min(1, Math.max(0, (time - curves.time[left]) / gap)) : 1;
  const blend = (values, a, b) => values[a] * (1 - weight) + values[b] * weight;
  const wide = labels.length;
  return {
    scores: labels.map((_, label) => blend(curves.scores, left * wide + label, right * wide + label) / 255),
    valence: blend(curves.valence, left, right) / 127,
    arousal: blend(curves.arousal, left, right) / 127,
    units: Object.entries(curves.units).map(([name, values]) => [name, blend(values, left, right) / data.units.levels]),
  };
}
