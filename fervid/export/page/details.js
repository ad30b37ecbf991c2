// Details of a moment: the tip at the pointer, the panel next to the player, the text for screen readers.
const tip = byId('tip');

/** Make bars of all scores, highest first. */
function scoreBars(scores) {
  const grid = make('div', { class: 'scores' });
  const order = scores.map((_, emotion) => emotion).sort((a, b) => scores[b] - scores[a]);
  for (const emotion of order) {
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
    parts.push(make('strong', {}, swatch(segment.emotion), labels[segment.emotion]));
    parts.push(make('p', {}, `${row.name}, ${clock(segment.start)} – ${clock(segment.end)}`));
  } else {
    parts.push(make('strong', {}, row.name));
    parts.push(make('p', {}, track ? `${clock(time)}, a face that cannot be read` : `${clock(time)}, not on screen`));
  }
  const reading = segment && readingAt(track, time);
  if (reading) {
    parts.push(make('p', { class: 'values' }, `At ${clock(time)}`), scoreBars(reading.scores));
  } else if (segment) {
    parts.push(make('p', {}, `mean score ${percent(segment.confidence)}`));
  }
  if (segment) {
    const { valence, arousal } = reading ?? segment;
    parts.push(make('p', { class: 'values' }, `valence ${signed(valence)}, arousal ${signed(arousal)}`));
  }
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
  return `${row.name}: ${labels[segment.emotion]}, ${stretch}, mean score ${percent(segment.confidence)}, ${values}`;
}

/** Fill the panel next to the player: all rows at the player's time. */
function showNow() {
  if (view.playing === null) return;
  byId('now-time').textContent = clock(view.playing);
  const present = shownRows().slice(0, 8);
  byId('now-rows').replaceChildren(
    ...present.map((row) => {
      const track = trackAt(row, view.playing);
      const segment = segmentAt(row, view.playing);
      const reading = segment && readingAt(track, view.playing);
      const text = segment
        ? `${labels[segment.emotion]} ${percent(reading ? reading.scores[segment.emotion] : segment.confidence)}`
        : track ? 'not readable' : 'not on screen';
      const scores = reading ? reading.scores : labels.map((_, emotion) => Number(segment?.emotion === emotion));
      return make(
        'div',
        { class: segment ? 'now-row' : 'now-row gone' },
        make('div', { class: 'now-head' }, make('span', { title: row.name }, row.name), make('span', {}, text)),
        stack(scores, 1),
      );
    }),
  );
}
