// Controls, and the first drawing.
function fillChips() {
  const chips = byId('emotions');
  const used = labels.map((_, emotion) => emotion).filter((emotion) => segments.some((segment) => segment.emotion === emotion)
    || peaks.some((peak) => peak.emotion === emotion));
  chips.replaceChildren(...used.map((emotion) => {
    const chip = make('button', { type: 'button', 'aria-pressed': 'false' }, swatch(emotion), labels[emotion]);
    chip.addEventListener('click', () => {
      if (!view.emotions.delete(emotion)) view.emotions.add(emotion);
      chip.setAttribute('aria-pressed', String(view.emotions.has(emotion)));
      filtered();
    });
    return chip;
  }));
}

function fillPersons() {
  const select = byId('person');
  const all = rows.some((row) => row.kind === 'person') ? 'everyone' : 'all faces';
  select.replaceChildren(make('option', { value: '' }, all), ...rows.map((row) => make('option', { value: row.index }, row.name)));
  select.value = view.person ?? '';
  byId('who').hidden = rows.length < 2;
}

/** Update everything after a change of the filters. */
function filtered() {
  view.focus = null;
  list.page = 0;
  fillLabels();
  fillPeaks();
  fillList();
  changed();
}

function fillLabels() {
  const names = byId('labels');
  const axis = make('div', { class: 'axis-name' }, 'shots');
  axis.style.height = `${AXIS}px`;
  names.replaceChildren(axis, ...shownRows().map((row) => {
    const isChosen = row.index === (view.person ?? view.chosen);
    const button = make('button', { type: 'button', title: row.name, 'aria-pressed': String(isChosen) },
      row.face ? faceOf(row) : null, make('span', {}, row.name));
    button.style.height = `${ROW}px`;
    button.style.paddingTop = `${TOP - (ROW - BAND - TOP)}px`;
    button.addEventListener('click', () => {
      view.chosen = row.index;
      fillLabels();
      byId('labels').querySelectorAll('button')[shownRows().indexOf(row)]?.focus();
      changed();
    });
    return button;
  }));
  const hasCurves = curves !== null && rows.length > 0;
  const chosen = view.person ?? view.chosen;
  byId('curve-labels').replaceChildren(...(hasCurves ? ['Valence', 'Arousal'] : []).map((name, at) => {
    const label = make('div', { class: 'curve-name' }, make('span', {}, name), make('small', { title: rows[chosen].name }, rows[chosen].name),
      make('i', { class: 'most' }, '+1'), make('i', { class: 'zero' }, '0'), make('i', { class: 'least' }, '−1'));
    label.style.height = `${CURVE}px`;
    label.style.marginTop = at ? `${BETWEEN}px` : '0';
    return label;
  }));
  for (const name of ['curve-labels', 'curves']) byId(name).hidden = !hasCurves;
  describeCurves();
  fillUnits();
  const more = byId('all-rows');
  more.hidden = view.person !== null || rows.length <= firstRows.length;
  more.textContent = view.allRows ? `Show ${firstRows.length} rows` : `Show ${plural(rows.length - firstRows.length, 'more row')}${ofBrief()}`;
}

/** Say how many of the rows that are folded away are of people seen only for a moment. */
function ofBrief() {
  const brief = rows.length - lasting.length;
  if (!brief || !lasting.length) return '';
  const isAll = brief === rows.length - firstRows.length;
  return `, ${isAll ? '' : `${brief} of them `}seen for less than ${BRIEF} s`;
}

function fillLegend() {
  const item = (kind, text) => make('li', {}, make('i', { class: kind }), text);
  const resting = item('resting', 'neutral');
  if (neutral >= 0) resting.firstChild.style.background = colours[neutral];
  const hasUncertain = segments.some((segment) => segment.uncertain);
  byId('legend').replaceChildren(...(neutral >= 0 ? [resting] : []),
    ...(hasUncertain ? [item('uncertain', `uncertain: a mean score below ${percent(data.certain)}`)] : []),
    item('unread', 'a face that cannot be read'),
    item('peak', 'peak'), item('shot', 'shots'));
  byId('keys').replaceChildren(
    make('span', { class: 'keyboard' }, 'Click to go to a moment; drag to move, Ctrl and the wheel to zoom. Keys: arrows select a segment '
      + 'or row, Enter goes to it, + − 0 zoom, Shift and arrows move.'),
  );
  if (data.windows === null && rows.length) {
    byId('no-curves').hidden = false;
    byId('no-curves').textContent = 'This timeline is JSON Lines, which have no curves. For valence, arousal and scores over time, '
      + 'write the timeline as JSON with fervid analyze.';
  }
  const isEmpty = !rows.length;
  byId('no-rows').hidden = !isEmpty;
  byId('no-rows').textContent = 'No face was found in this video. To detect smaller faces, analyze it with a smaller --min-face.';
  for (const name of ['chart', 'legend', 'keys', 'shown', 'list-card']) byId(name).hidden = isEmpty;
  for (const group of document.querySelectorAll('#timeline .filters, #timeline .group')) group.hidden = isEmpty;
}

// --- mouse and touch

const touches = new Map();
let dragged = null; // { x, start, end, moved }

function draggable(canvas) {
  canvas.addEventListener('pointerdown', (event) => {
    if (event.button) return;
    touches.set(event.pointerId, event.clientX);
    dragged = { x: event.clientX, start: view.start, end: view.end, moved: touches.size > 1, apart: apart() };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener('pointermove', (event) => {
    const position = positionOf(event, canvas);
    if (touches.has(event.pointerId)) touches.set(event.pointerId, event.clientX);
    if (dragged && touches.size === 2 && dragged.apart > 10) {
      const middle = (dragged.start + dragged.end) / 2;
      const half = (((dragged.end - dragged.start) / 2) * dragged.apart) / Math.max(10, apart());
      show(middle - half, middle + half);
    } else if (dragged && (dragged.moved || Math.abs(event.clientX - dragged.x) > 4)) {
      dragged.moved = true;
      const shift = ((event.clientX - dragged.x) / canvas.clientWidth) * (dragged.end - dragged.start);
      show(dragged.start - shift, dragged.end - shift);
    }
    if (event.pointerType === 'mouse') {
      view.pointer = position;
      if (position.row && !dragged?.moved) showTip(position.row, position.time, event.clientX, event.clientY);
      else hideTip();
      changed();
    }
  });
  const release = (event) => {
    const wasClick = dragged && !dragged.moved && event.type === 'pointerup';
    touches.delete(event.pointerId);
    if (!touches.size) dragged = null;
    if (!wasClick) return;
    const { time, row } = positionOf(event, canvas);
    goTo(time, row);
    if (event.pointerType !== 'mouse' && row) {
      showTip(row, time, event.clientX, event.clientY);
      setTimeout(hideTip, 2500);
    }
  };
  canvas.addEventListener('pointerup', release);
  canvas.addEventListener('pointercancel', release);
  canvas.addEventListener('pointerleave', () => {
    view.pointer = null;
    hideTip();
    changed();
  });
  canvas.addEventListener('wheel', (event) => {
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      zoom(Math.exp(Math.min(60, Math.max(-60, event.deltaY)) / 120), positionOf(event, canvas).time);
    } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      pan(((event.deltaX || event.deltaY) / canvas.clientWidth) * (view.end - view.start));
    }
  }, { passive: false });
}

function apart() {
  const [first, second] = [...touches.values()];
  return second === undefined ? 0 : Math.abs(first - second);
}

function overviewMoves() {
  const canvas = byId('overview');
  let grip = null; // { by: seconds into the shown part } or { from: start of a new one }
  const timeOf = (event) => {
    const box = canvas.getBoundingClientRect();
    return LOW + Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * (HIGH - LOW);
  };
  canvas.addEventListener('pointerdown', (event) => {
    const time = timeOf(event);
    const isInside = !isWhole() && time > view.start && time < view.end;
    grip = isInside ? { by: time - view.start } : { from: time };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener('pointermove', (event) => {
    if (!grip) return;
    const time = timeOf(event);
    if (grip.by !== undefined) show(time - grip.by, time - grip.by + view.end - view.start);
    else if (Math.abs(time - grip.from) > (HIGH - LOW) / 200) show(Math.min(time, grip.from), Math.max(time, grip.from));
  });
  canvas.addEventListener('pointerup', (event) => {
    const time = timeOf(event);
    if (grip?.from !== undefined && Math.abs(time - grip.from) <= (HIGH - LOW) / 200 && !isWhole()) {
      show(time - (view.end - view.start) / 2, time + (view.end - view.start) / 2);
    }
    grip = null;
  });
}

// --- keyboard

function moveFocus(step, rowStep) {
  const present = shownRows();
  if (!present.length) return;
  const was = view.focus;
  let index = was ? present.indexOf(was.row) : Math.max(0, present.findIndex((row) => row.index === view.chosen));
  if (rowStep) index = Math.min(present.length - 1, Math.max(0, index + rowStep));
  const row = present[index];
  const passing = row.segments.filter(isWanted);
  if (!passing.length) {
    byId('spoken').textContent = `${row.name}: no segment matches the filters.`;
    return;
  }
  let at = was && was.row === row ? passing.indexOf(was.segment) + step : passing.findIndex((segment) => segment.end > (was ? was.segment.start : view.start));
  at = Math.min(passing.length - 1, Math.max(0, at));
  view.focus = { row, segment: passing[at] };
  view.chosen = row.index;
  const { start, end } = passing[at];
  if (start < view.start || end > view.end) show(start - (view.end - view.start) / 3, start + (2 * (view.end - view.start)) / 3);
  byId('spoken').textContent = sentence(row, passing[at]);
  fillLabels();
  tipAtFocus();
  changed();
}

function tipAtFocus() {
  const { row, segment } = view.focus;
  const box = byId('bands').getBoundingClientRect();
  const middle = Math.min(Math.max((segment.start + segment.end) / 2, view.start), view.end);
  const x = box.left + ((middle - view.start) / (view.end - view.start)) * box.width;
  showTip(row, middle, x - 12, box.top + AXIS + (shownRows().indexOf(row) + 1) * ROW - 8);
}

const KEYS = {
  ArrowRight: (event) => (event.shiftKey ? pan((view.end - view.start) / 4) : moveFocus(1, 0)),
  ArrowLeft: (event) => (event.shiftKey ? pan((view.start - view.end) / 4) : moveFocus(-1, 0)),
  ArrowDown: () => moveFocus(0, 1),
  ArrowUp: () => moveFocus(0, -1),
  Home: () => show(LOW, LOW + view.end - view.start),
  End: () => show(HIGH - (view.end - view.start), HIGH),
  Enter: () => view.focus && goTo(view.focus.segment.start, view.focus.row),
  ' ': () => (video.paused || !film.isLoaded ? KEYS.Enter() : video.pause()),
  '+': () => zoom(0.5, middleOfFocus()),
  '=': () => zoom(0.5, middleOfFocus()),
  '-': () => zoom(2, middleOfFocus()),
  0: () => show(LOW, HIGH),
  Escape: () => {
    view.focus = null;
    hideTip();
    changed();
  },
};

const middleOfFocus = () => (view.focus ? view.focus.segment.start : (view.start + view.end) / 2);

byId('lanes').addEventListener('keydown', (event) => {
  const act = KEYS[event.key];
  if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  act(event);
});
byId('lanes').addEventListener('blur', () => {
  view.focus = null;
  hideTip();
  changed();
});

// --- light and dark, paper, and the first drawing

const THEMES = ['auto', 'light', 'dark'];

function setTheme(name) {
  if (name === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  byId('theme').textContent = { auto: 'Colours: automatic', light: 'Colours: light', dark: 'Colours: dark' }[name];
  readTheme();
  changed();
}

let themeName = 'auto';
byId('theme').addEventListener('click', () => {
  themeName = THEMES[(THEMES.indexOf(themeName) + 1) % THEMES.length];
  setTheme(themeName);
});
window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => setTheme(themeName));

/** Prepare for printing: light, the whole video, at the paper's width. */
function toPaper(isPaper) {
  const root = document.documentElement;
  if (isPaper) root.dataset.theme = 'light';
  root.classList.toggle('paper', isPaper);
  if (!isPaper) setTheme(themeName);
  readTheme();
  const before = { ...view };
  if (isPaper) Object.assign(view, { start: LOW, end: HIGH, playing: null, pointer: null, focus: null });
  paint();
  Object.assign(view, before);
}
window.addEventListener('beforeprint', () => toPaper(true));
window.addEventListener('afterprint', () => toPaper(false));

byId('person').addEventListener('change', () => {
  view.person = byId('person').value === '' ? null : Number(byId('person').value);
  filtered();
});
byId('units-toggle').addEventListener('click', () => {
  view.units = !view.units;
  fillUnits();
  changed();
});
byId('why-toggle').addEventListener('click', toggleWhy);
byId('most').addEventListener('change', fillPeaks);
byId('now-code').addEventListener('click', () => copy(byId('now-code').textContent, byId('now-code')));
byId('in').addEventListener('click', () => zoom(0.5));
byId('out').addEventListener('click', () => zoom(2));
byId('whole').addEventListener('click', () => show(LOW, HIGH));
byId('all-rows').addEventListener('click', () => {
  view.allRows = !view.allRows;
  filtered();
  fillTotals();
});
byId('list').addEventListener('toggle', fillList);
for (const kind of ['segments', 'peaks']) {
  byId(`list-${kind}`).addEventListener('click', () => {
    Object.assign(list, { kind, page: 0 });
    fillList();
  });
}
byId('list-back').addEventListener('click', () => { list.page -= 1; fillList(); });
byId('list-on').addEventListener('click', () => { list.page += 1; fillList(); });

function fillShown() {
  byId('shown').textContent = `${clock(view.start)} – ${clock(view.end)}`;
  byId('in').disabled = view.end - view.start <= SHORTEST * 1.001;
  byId('out').disabled = byId('whole').disabled = isWhole();
}

for (const fill of [fillTiles, fillFacts, fillTotals, fillMost, fillWhy, fillPeaks, fillSave, fillPeople, fillQuality, fillModel, fillChips, fillPersons, fillLegend, fillLabels]) fill();
if (rows.length) {
  painters.push(drawBands, drawCurves, drawUnits, drawOverview);
  draggable(byId('bands'));
  draggable(byId('lines'));
  draggable(byId('unit-lines'));
  overviewMoves();
  new ResizeObserver(changed).observe(byId('chart'));
}
painters.push(showNow, fillShown);
startPlayer();
setTheme('auto');
