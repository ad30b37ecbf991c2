// The state of the page: the time shown, the filters, the focus. After a change of it, call changed().
const SHORTEST = Math.min(0.5, HIGH - LOW); // the fewest seconds that the chart can show
const MOST_ROWS = 12; // rows shown before "show all"

const lasting = rows.filter((row) => row.seen >= BRIEF);
const firstRows = (lasting.length ? lasting : rows).slice(0, MOST_ROWS);

const view = {
  start: LOW,
  end: HIGH,
  emotions: new Set(), // empty: all
  person: null, // index of the only row shown; null: all
  chosen: rows.length ? 0 : null, // index of the row with dark curves
  allRows: false,
  units: false, // whether action units are shown
  why: false, // whether explanations of peaks are shown
  focus: null, // { row, segment } selected by keyboard
  pointer: null, // { time, row } under the mouse
  playing: null, // seconds; null: no video
};

const painters = []; // functions that draw, called once per frame after a change
let isWaiting = false;

function changed() {
  if (isWaiting) return;
  isWaiting = true;
  requestAnimationFrame(paint);
}

function paint() {
  isWaiting = false;
  for (const painter of painters) painter();
}

const isWhole = () => view.start <= LOW && view.end >= HIGH;

function show(start, end) {
  const span = Math.min(HIGH - LOW, Math.max(SHORTEST, end - start));
  const from = Math.min(Math.max(LOW, start), HIGH - span);
  view.start = from;
  view.end = from + span;
  changed();
}

function zoom(factor, at = (view.start + view.end) / 2) {
  const span = Math.min(HIGH - LOW, Math.max(SHORTEST, (view.end - view.start) * factor));
  const share = (at - view.start) / (view.end - view.start);
  show(at - share * span, at - share * span + span);
}

const pan = (seconds) => show(view.start + seconds, view.end + seconds);

/** Bring a moment into view, without changing the zoom. */
function reveal(time) {
  const span = view.end - view.start;
  if (time < view.start || time > view.end) show(time - span / 4, time + (3 * span) / 4);
}

const isShown = (emotion) => view.emotions.size === 0 || view.emotions.has(emotion);
const isWanted = (item) => isShown(item.emotion) && (view.person === null || item.row === view.person);

function shownRows() {
  if (view.person !== null) return [rows[view.person]];
  return view.allRows ? rows : firstRows;
}
