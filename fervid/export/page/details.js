// Details of a moment: the tip at the pointer, the panel next to the player, the text for screen readers.
const tip = byId('tip');

/** Make bars of all scores, highest first. */
function scoreBars(scores) {
  const grid = make('div', { class: 'scores' });
  for (const emotion of byScore(scores)) {
    const bar = make('i');
    bar.style.width = `${100 * scores[emotion]}%`;
    bar.style.background = colours[emotion];
    grid.append(
      make('span', {}, labels[emotion]),
      make('span', { class: 'way' }, bar),
      make('span', {}, percent(scores[emotion])),
    );
  }
  return grid;
}

/** Describe a row at a time, as elements. */
function describe(row, time) {
  const track = trackAt(row, time);
  const segment = segmentAt(row, time);
  const parts = [];
  if (segment) {
    parts.push(make('strong', {}, swatch(segment.emotion), labelOf(segment)));
    parts.push(make('p', {}, `${row.name}, ${clock(segment.start)} – ${clock(segment.end)}`));
  } else {
    parts.push(make('strong', {}, row.name));
    parts.push(make('p', {}, track ? `${clock(time)}, a face that cannot be read` : `${clock(time)}, not on screen`));
  }
  const reading = segment && readingAt(track, time);
  if (reading) {
    if (segment.uncertain) parts.push(make('p', {}, `mean score ${percent(segment.confidence)}`));
    parts.push(make('p', { class: 'values' }, `At ${clock(time)}`), scoreBars(reading.scores));
  } else if (segment) {
    parts.push(make('p', {}, `mean score ${percent(segment.confidence)}`));
  }
  if (segment) {
    const { valence, arousal } = reading ?? segment;
    parts.push(make('p', { class: 'values' }, `valence ${signed(valence)}, arousal ${signed(arousal)}`));
  }
  if (segment?.phases) {
    const [onset, apex, release, offset] = segment.phases.map((seconds) => clock(seconds, 2));
    parts.push(make('p', { class: 'values' }, `onset ${onset}, apex ${apex} – ${release}, offset ${offset}`));
  }
  if (view.units && reading) parts.push(make('p', { class: 'values' }, unitsText(reading.units)));
  return parts;
}

function showTip(row, time, x, y) {
  tip.replaceChildren(...describe(row, time));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const left = x + 16 + box.width > window.innerWidth - 8 ? x - 16 - box.width : x + 16;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${Math.max(8, Math.min(y + 14, window.innerHeight - box.height - 8))}px`;
}

const hideTip = () => {
  tip.hidden = true;
};

/** Describe a segment in a sentence. */
function sentence(row, segment) {
  const values = `valence ${signed(segment.valence)}, arousal ${signed(segment.arousal)}`;
  const stretch = `${clock(segment.start)} to ${clock(segment.end)}`;
  return `${row.name}: ${labelOf(segment)}, ${stretch}, mean score ${percent(segment.confidence)}, ${values}`;
}

/** Make the part of the panel that is a row's: made once, so that its picture is decoded once. */
function panelPart(row) {
  const name = make('span');
  const text = make('span');
  const about = make('div', { class: 'now-about' }, make('div', { class: 'now-head' }, name, text));
  return { name, text, about, bar: null, element: make('div', { class: 'now-row' }, faceOf(row), about) };
}

/** Return the text and the bar of a row at a time: the highest score, which the bar begins with. */
function readingNow(row, time) {
  const segment = segmentAt(row, time);
  const reading = segment && readingAt(trackAt(row, time), time);
  if (!segment) return { text: 'not readable', bar: stack([], 1) };
  if (!reading) {
    const scores = labels.map((_, emotion) => (emotion === segment.emotion ? segment.confidence : 0));
    return { text: `${labelOf(segment)} ${percent(segment.confidence)}`, bar: stack(scores, 1) };
  }
  const order = byScore(reading.scores);
  const isOwn = order[0] === segment.emotion;
  const score = percent(reading.scores[order[0]]);
  const text = isOwn ? `${labelOf(segment)} ${score}` : `${labels[order[0]]} ${score}, within ${labelOf(segment)}`;
  return { text, bar: stack(reading.scores, 1, order) };
}

let nowRows = [];

/** Fill the panel next to the player: everyone on screen at the player's time. */
function showNow() {
  if (view.playing === null) return;
  byId('now-time').textContent = clock(view.playing);
  byId('now-code').textContent = timecodeAt(view.playing);
  const present = (view.person === null ? rows : [rows[view.person]]).filter((row) => trackAt(row, view.playing));
  for (const row of present) {
    row.part ??= panelPart(row);
    const { part } = row;
    const { text, bar } = readingNow(row, view.playing);
    part.name.textContent = part.name.title = row.name;
    part.text.textContent = text;
    if (part.bar) part.bar.replaceWith(bar);
    else part.about.append(bar);
    part.bar = bar;
  }
  if (present.length !== nowRows.length || present.some((row, index) => row !== nowRows[index])) {
    byId('now-rows').replaceChildren(...present.map((row) => row.part.element));
    nowRows = present;
  }
  const who = view.person === null ? 'No face' : `${rows[view.person].name} is not`;
  byId('now-none').textContent = present.length ? '' : `${who} on screen.`;
}
