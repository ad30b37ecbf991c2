// The text parts of the page: key figures, totals, peaks, the full table, quality, the model.
const PAGE_ROWS = 100;

function tile(name, value, title) {
  return make('div', title ? { title } : {}, make('dt', {}, name), make('dd', {}, value));
}

function fillTiles() {
  const { length: whole, seen, readable } = data.coverage;
  const total = rows.reduce((sum, row) => sum + row.seconds.reduce((a, b) => a + b, 0), 0);
  const resting = neutral < 0 ? 0 : rows.reduce((sum, row) => sum + row.seconds[neutral], 0);
  const people = rows.filter((row) => row.kind === 'person').length;
  byId('tiles').replaceChildren(
    tile('analyzed', length(whole)),
    people ? tile(people === 1 ? 'person' : 'people', people) : tile(tracks.length === 1 ? 'track of a face' : 'tracks of faces', tracks.length.toLocaleString('en')),
    tile(`of the time with a face${seen ? `, ${readable >= seen ? 'all' : percent(readable / seen)} of it readable` : ''}`, percent(seen / whole)),
    tile('of readable time not neutral', total ? percent((total - resting) / total) : '–'),
    tile(peaks.length === 1 ? 'peak' : 'peaks', peaks.length.toLocaleString('en')),
  );
}

function fillFacts() {
  const { source, model } = data;
  const size = source.size ? `${source.size.width} × ${source.size.height}` : null;
  byId('facts').textContent = [length(source.duration), size, `model ${model.name}`].filter(Boolean).join('  ·  ');
  const warnings = [];
  if (model.trained === false) warnings.push('The model is untrained: its scores mean nothing.');
  if (source.complete === false) warnings.push('The video file is cut off: this timeline covers the part that exists.');
  const lost = source.frames?.undecodable ?? 0;
  if (lost > 0) warnings.push(`${plural(lost, 'frame')} of the video could not be decoded.`);
  byId('warnings').replaceChildren(...warnings.map((text) => make('p', { class: 'warning' }, text)));
}

function head(...names) {
  return make('thead', {}, make('tr', {}, ...names.map((name) => {
    const [text, kind, mark] = Array.isArray(name) ? name : [name, '', null];
    return make('th', { scope: 'col', class: kind }, mark, text);
  })));
}

/** Fill the table of time per person and emotion. */
function fillTotals() {
  const totals = byId('totals');
  if (!rows.length) {
    totals.replaceChildren(make('p', { class: 'empty' }, 'No face was found, so there is nothing to add up.'));
    return;
  }
  const longest = Math.max(...rows.map((row) => row.seen), 0.001);
  const used = labels.map((_, emotion) => emotion).filter((emotion) => rows.some((row) => row.seconds[emotion] > 0));
  const body = make('tbody');
  for (const row of view.allRows ? rows : lasting.length ? lasting : rows) {
    const spent = row.seconds.reduce((sum, value) => sum + value, 0);
    body.append(make(
      'tr', {},
      make('th', { scope: 'row', title: row.name }, row.face ? faceOf(row) : null, row.name),
      make('td', { class: 'right' }, length(row.seen)),
      make('td', { class: 'right' }, row.seen ? percent(Math.min(1, spent / row.seen)) : '–'),
      make('td', { class: 'wide' }, stack(row.seconds, longest)),
      ...used.map((emotion) => make('td', { class: row.seconds[emotion] ? 'right' : 'right none' },
        row.seconds[emotion] ? length(row.seconds[emotion]) : '–')),
    ));
  }
  const who = rows.every((row) => row.kind === 'person') ? 'Person' : 'Who';
  totals.replaceChildren(make(
    'table', {},
    head(who, ['on screen', 'right'], ['readable', 'right'], ['share of each expression', 'wide'],
      ...used.map((emotion) => [labels[emotion], 'right', swatch(emotion)])),
    body,
  ));
}

const FEW = 24; // peaks shown at first
const CARDS = 100; // peaks shown as cards at most; the table has all peaks

function fillMost() {
  const numbers = [FEW, CARDS].filter((number) => number < peaks.length);
  byId('most').replaceChildren(...numbers.map((number) => make('option', { value: number }, `the ${number} highest`)), make('option', { value: '' }, 'all'));
  byId('most-label').hidden = !numbers.length;
}

/** Return the peaks that pass the filters, highest first: those that the cards show, and downloads contain. */
function chosenPeaks() {
  const most = Number(byId('most').value) || Infinity;
  return peaks.filter(isWanted).slice(0, most);
}

/** Outline the face of a peak in its picture, whose card shows only the middle of a picture of another shape. */
function outlined(peak) {
  const image = make('img', { alt: '', width: 320, height: 180, src: peak.picture });
  const picture = make('span', { class: 'picture' }, image);
  const { size } = data.source;
  if (!peak.mark || !size) return picture;
  const shape = size.width / size.height / (16 / 9);
  const shown = [Math.min(1, 1 / shape), Math.min(1, shape)]; // shares of the picture's width and height
  const [x, y, wide, tall] = peak.mark;
  const from = [x + wide / 2, y + tall / 2].map((middle, axis) => Math.min(1 - shown[axis], Math.max(0, middle - shown[axis] / 2)));
  const part = (axis) => `${shown[axis] < 1 ? (100 * from[axis]) / (1 - shown[axis]) : 50}%`;
  image.style.objectPosition = `${part(0)} ${part(1)}`;
  const mark = make('i', { class: 'mark' });
  mark.style.left = `${(100 * (x - from[0])) / shown[0]}%`;
  mark.style.top = `${(100 * (y - from[1])) / shown[1]}%`;
  mark.style.width = `${(100 * wide) / shown[0]}%`;
  mark.style.height = `${(100 * tall) / shown[1]}%`;
  picture.append(mark);
  return picture;
}

function peakCard(peak, hasPictures) {
  const row = rows[peak.row];
  const name = `${labels[peak.emotion]} of ${row.name} at ${clock(peak.time)}, score ${percent(peak.score)}`;
  const button = make('button', { type: 'button', 'aria-label': name });
  if (peak.picture) button.append(outlined(peak));
  else if (hasPictures) button.append(make('span', { class: 'blank' }));
  button.append(make(
    'span', { class: 'about' },
    make('span', { class: 'what' }, swatch(peak.emotion), labels[peak.emotion]),
    make('span', { class: 'number' }, percent(peak.score)),
    make('span', { class: 'quiet', title: row.name }, row.name),
    make('span', { class: 'quiet number' }, clock(peak.time)),
  ));
  button.addEventListener('click', () => goTo(peak.start, row));
  const why = view.why && peak.why ? whyPanel(peak) : null;
  return make('li', {}, button, why, copier(timecode(frameOf(peak.apex))));
}

function fillPeaks() {
  const wanted = chosenPeaks();
  const cards = wanted.slice(0, CARDS);
  const hasPictures = cards.some((peak) => peak.picture);
  byId('peaks').replaceChildren(...cards.map((peak) => peakCard(peak, hasPictures)));
  byId('save').hidden = !cards.length;
  const empty = byId('no-peaks');
  empty.hidden = cards.length > 0;
  empty.textContent = peaks.length ? 'No peak matches the filters.' : 'No expression stands out enough to be a peak.';
  const all = peaks.filter(isWanted).length;
  const number = wanted.length.toLocaleString('en');
  byId('peaks-count').textContent = !cards.length ? ''
    : cards.length < wanted.length ? `${cards.length} of ${number} are shown here, all are in the table`
      : wanted.length < all ? `${number} of ${all.toLocaleString('en')}` : plural(wanted.length, 'peak');
}

const list = { kind: 'segments', page: 0 };

/** Fill the table of all segments or peaks, a page at a time: a long video has thousands of rows. */
function fillList() {
  if (!byId('list').open) return;
  const isSegments = list.kind === 'segments';
  const wanted = (isSegments ? segments : [...peaks].sort((a, b) => a.time - b.time)).filter(isWanted);
  const pages = Math.max(1, Math.ceil(wanted.length / PAGE_ROWS));
  list.page = Math.min(Math.max(0, list.page), pages - 1);
  const from = list.page * PAGE_ROWS;
  const some = wanted.slice(from, from + PAGE_ROWS);
  byId('list-segments').setAttribute('aria-pressed', String(isSegments));
  byId('list-peaks').setAttribute('aria-pressed', String(!isSegments));
  byId('list-back').disabled = list.page === 0;
  byId('list-on').disabled = list.page === pages - 1;
  byId('list-count').textContent = some.length
    ? `${from + 1} to ${from + some.length} of ${wanted.length.toLocaleString('en')}` : 'Nothing matches the filters.';
  const body = make('tbody');
  for (const item of some) {
    const row = rows[item.row];
    const start = make('button', { type: 'button' }, clock(item.start, 2));
    start.setAttribute('aria-label', `Go to ${clock(item.start, 2)}`);
    start.addEventListener('click', () => goTo(item.start, row));
    body.append(make(
      'tr', {},
      make('td', {}, start),
      make('td', {}, copier(isSegments ? timecodeAt(item.start) : timecode(frameOf(item.onset)))),
      ...(isSegments ? [] : [make('td', { class: 'right' }, clock(item.time, 2))]),
      make('td', { class: 'right' }, clock(item.end, 2)),
      make('td', {}, row.name),
      make('td', {}, swatch(item.emotion), labelOf(item)),
      make('td', { class: 'right' }, percent(isSegments ? item.confidence : item.score)),
      make('td', { class: 'right' }, isSegments ? item.intensity.toFixed(2) : item.prominence.toFixed(2)),
      make('td', { class: 'right' }, signed(item.valence)),
      make('td', { class: 'right' }, signed(item.arousal)),
      make('td', { class: 'right' }, item.track),
    ));
  }
  byId('list-table').replaceChildren(make('table', {}, head(
    'from', 'timecode', ...(isSegments ? [] : [['apex', 'right']]), ['to', 'right'], 'who', 'expression', ['score', 'right'],
    [isSegments ? 'intensity' : 'prominence', 'right'], ['valence', 'right'], ['arousal', 'right'], ['track', 'right'],
  ), body));
}

function entries(id, pairs) {
  byId(id).replaceChildren(...pairs.filter(([, value]) => value !== null && value !== undefined && value !== '').flatMap(
    ([name, value]) => [make('dt', {}, name), make('dd', {}, value)],
  ));
}

function fillQuality() {
  const { source, coverage, settings } = data;
  const frames = source.frames ?? {};
  const many = (value) => (value === undefined ? null : value.toLocaleString('en'));
  const weights = rows.filter((row) => row.quality !== null && row.seen > 0);
  const seen = weights.reduce((sum, row) => sum + row.seen, 0);
  const quality = seen ? weights.reduce((sum, row) => sum + row.quality * row.seen, 0) / seen : null;
  const isPart = settings.start != null || settings.end != null;
  entries('quality', [
    ['Analysed', `${clock(LOW)} – ${clock(HIGH)}${isPart ? `, part of ${clock(source.duration)}` : ', the whole video'}`],
    ['With a face', `${length(coverage.seen)}, ${percent(coverage.seen / coverage.length)}`],
    ['With a readable face', `${length(coverage.readable)}, ${percent(coverage.readable / coverage.length)}`],
    ['Mean quality', quality === null ? null : `${quality.toFixed(2)} of 1; below ${data.readable} a face is not readable`],
    ['Frames', [['planned', frames.planned], ['decoded', frames.decoded], ['with faces', frames.with_faces], ['undecodable', frames.undecodable]]
      .filter(([, value]) => value !== undefined).map(([name, value]) => `${many(value)} ${name}`).join(', ')],
    ['Complete', source.complete === undefined ? null : source.complete ? 'yes' : 'no: the file ends early'],
    ['Video', [source.container, source.codec, source.rate && `${source.rate} frames a second`].filter(Boolean).join(', ')],
    ['Settings', Object.entries(settings).filter(([, value]) => value !== null && typeof value !== 'object')
      .map(([name, value]) => `${name.replaceAll('_', ' ')} ${value}`).join(', ')],
    ['SHA-256', make('span', { class: 'mono' }, source.sha256 ?? '')],
  ]);
}

function fillModel() {
  const { model } = data;
  entries('model', [
    ['Name', model.name],
    ['Streams', (model.streams ?? []).join(', ')],
    ['Reads', labels.join(', ')],
    ['Trained', model.trained ? 'yes' : 'no: its scores mean nothing'],
    ...Object.entries(model.licences ?? {}).map(([name, terms]) => [`Terms: ${name}`, terms]),
    ['SHA-256', make('span', { class: 'mono' }, model.sha256 ?? '')],
  ]);
  const figures = Object.entries(model.accuracy ?? {});
  const hint = byId('accuracy-hint');
  if (!figures.length) {
    hint.textContent = model.known ? 'This model has not been measured.'
      : 'The model of this timeline was not installed where this page was made, so its figures are unknown.';
    return;
  }
  hint.textContent = 'Share of labels that agree, in per cent, by stream and fusion, from the model’s card.';
  const columns = [...new Set(figures.flatMap(([, row]) => Object.keys(row)))];
  const body = make('tbody');
  for (const [name, row] of figures) {
    body.append(make('tr', {}, make('th', { scope: 'row', class: 'wrap' }, name),
      ...columns.map((column) => make('td', { class: column in row ? 'right' : 'right none' },
        column in row ? (100 * row[column]).toFixed(1) : '–'))));
  }
  byId('accuracy').replaceChildren(make('table', {}, head('measured on', ...columns.map((column) => [column, 'right'])), body));
}
