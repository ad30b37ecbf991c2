// What is looked at just now: the stretch of time, the filters, the focus. Whoever changes it calls changed().
const SHORTEST = Math.min(0.5, HIGH - LOW); // seconds that the whole width shows at least
const MOST_ROWS = 12; // rows shown before "show all"

const view = {
  start: LOW,
  end: HIGH,
  emotions: new Set(), // empty: all
  person: null, // index of the one row shown; null: all
  chosen: rows.length ? 0 : null, // the row whose curves stand out
  allRows: rows.length <= MOST_ROWS,
  focus: null, // { row, segment } of the keyboard
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
const isWanted = (found) => isShown(found.emotion) && (view.person === null || found.row === view.person);

function shownRows() {
  if (view.person !== null) return [rows[view.person]];
  return view.allRows ? rows : rows.slice(0, MOST_ROWS);
}
