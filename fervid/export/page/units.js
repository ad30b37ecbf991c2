// Action units of the chosen row over time, and its blinks, where they were measured.
const UNIT = 36; // height of a unit's lane in pixels, with the gap below it
const LANE = 30; // of its curve
const TICK = 10; // of the mark of a blink

const chosenRow = () => rows[view.person ?? view.chosen];

/** Return the units that are present in some window of a row, with their greatest intensity. */
function presentUnits(row) {
  row.units ??= Object.keys(data.units.names).map((name) => {
    let most = 0;
    for (const track of row.tracks) {
      for (const value of curves.units[name].subarray(track.first, track.first + track.windows)) most = Math.max(most, value);
    }
    return { name, most: most / data.units.levels };
  }).filter(({ most }) => most >= data.units.present);
  return row.units;
}

/** Return the times of a row's blinks in order; null if they were not counted. */
function blinksOf(row) {
  const counted = row.tracks.filter((track) => track.blinks);
  return counted.length ? counted.flatMap((track) => track.blinks) : null;
}

const unitsText = (units) => units.filter(([, value]) => value >= data.units.present)
  .map(([name, value]) => `${name} ${value.toFixed(1)}`).join(', ') || 'no action unit';

/** Show or hide the lanes, and name them. */
function fillUnits() {
  const hasUnits = data.units !== null && curves !== null && rows.length > 0;
  const toggle = byId('units-toggle');
  toggle.hidden = !hasUnits;
  toggle.setAttribute('aria-pressed', String(view.units));
  for (const name of ['unit-labels', 'units']) byId(name).hidden = !hasUnits || !view.units;
  if (!hasUnits || !view.units) return;
  const row = chosenRow();
  const present = presentUnits(row);
  const blinks = blinksOf(row);
  const lane = (name, about) => {
    const label = make('div', { class: 'unit-name', title: `${name}: ${about}` }, make('span', {}, name), make('small', {}, about));
    label.style.height = `${UNIT}px`;
    return label;
  };
  byId('unit-labels').replaceChildren(
    ...present.map(({ name }) => lane(name, data.units.names[name])),
    lane(blinks ? plural(blinks.length, 'blink') : 'Blinks', blinks ? row.name : 'not counted'),
  );
  const list = present.map(({ name, most }) => `${name} ${data.units.names[name]} up to ${most.toFixed(1)}`).join(', ');
  const text = `Action units of ${row.name} over time, 0 to ${data.units.most}: ${list || 'none is present'}. `
    + (blinks ? `${plural(blinks.length, 'blink')}.` : 'Blinks are not counted.');
  byId('unit-lines').setAttribute('aria-label', text);
}

function drawUnits() {
  if (byId('units').hidden) return;
  const row = chosenRow();
  const present = presentUnits(row);
  const { context, width } = prepare(byId('unit-lines'), (present.length + 1) * UNIT);
  const scale = scaleOf(width);
  present.forEach(({ name }, index) => {
    const base = index * UNIT + (UNIT + LANE) / 2;
    const most = data.units.most * data.units.levels;
    context.fillStyle = theme.line;
    context.fillRect(0, base, width, 1);
    context.strokeStyle = context.fillStyle = theme.accent;
    context.lineWidth = 1.5;
    drawLine(context, row, { values: curves.units[name], base, y: (value) => base - (value / most) * LANE }, width, true);
  });
  const base = present.length * UNIT + UNIT / 2;
  context.fillStyle = theme.faint;
  context.fillRect(0, base, width, 1);
  context.fillStyle = theme.ink;
  for (const time of blinksOf(row) ?? []) {
    if (time >= view.start && time <= view.end) context.fillRect((time - view.start) * scale - 1, base - TICK / 2, 2, TICK);
  }
  drawTimes(context, 0, (present.length + 1) * UNIT, width);
}
