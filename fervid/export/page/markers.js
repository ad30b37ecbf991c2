// Timecode, and the filtered peaks as files for editing programs: the same bytes as `fervid peaks` writes.
const { edit } = data;

/** Return the frame that begins nearest to a pts, counted from the first, within the video. */
function frameOf(pts) {
  const [ticks, base, rate] = [BigInt(pts - data.clock.start), data.clock.base.map(BigInt), edit.rate.map(BigInt)];
  const whole = base[1] * rate[1];
  const frame = (2n * ticks * base[0] * rate[0] + whole) / (2n * whole);
  return Math.min(Math.max(Number(frame), 0), edit.frames - 1);
}

/** Return the timecode of a frame, as fervid/export/editors/timecode.py does. */
function timecode(frame) {
  const nominal = Math.round(edit.rate[0] / edit.rate[1]);
  const dropped = edit.drops ? Math.floor(nominal / 15) : 0;
  const tenMinutes = 600 * nominal - 9 * dropped;
  const position = (edit.first + frame) % (144 * tenMinutes);
  const [tens, rest] = [Math.floor(position / tenMinutes), position % tenMinutes];
  const minute = Math.floor(Math.max(0, rest - dropped) / (60 * nominal - dropped));
  const number = tens * 600 * nominal + rest + minute * dropped;
  const all = Math.floor(number / nominal);
  const two = (value) => String(value).padStart(2, '0');
  const time = [all / 3600, (all / 60) % 60, all % 60].map((value) => two(Math.floor(value))).join(':');
  return `${time}${edit.drops ? ';' : ':'}${two(number % nominal)}`;
}

/** Return the timecode of the frame on screen at a time in seconds. */
function timecodeAt(seconds) {
  const frame = Math.floor((seconds * edit.rate[0]) / edit.rate[1] + 0.001);
  return timecode(Math.min(Math.max(frame, 0), edit.frames - 1));
}

/** Make a button that shows a timecode and copies it. */
function copier(code) {
  const button = make('button', { type: 'button', class: 'code', title: 'Copy the timecode' }, code);
  button.setAttribute('aria-label', `Copy the timecode ${code}`);
  button.addEventListener('click', () => copy(code, button));
  return button;
}

/** Copy text, and say so in the button for a moment. */
async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.body.appendChild(make('textarea', { value: text, class: 'away' }));
    area.select();
    document.execCommand('copy'); // for browsers that allow the clipboard only to pages of a server
    area.remove();
  }
  byId('spoken').textContent = `Copied ${text}`;
  button.classList.add('done');
  setTimeout(() => button.classList.remove('done'), 1200);
}

/** Return text on one line with single spaces, without characters that cannot be printed. */
function oneLine(text) {
  const printable = [...text].filter((letter) => /\s/u.test(letter) || !/\p{C}/u.test(letter));
  return printable.join('').split(/\s+/u).filter(Boolean).join(' ');
}

/** Return the marks of peaks, by frame: the rank counts from 1 among these peaks. */
function marksOf(chosen) {
  const marks = chosen.map((peak, index) => {
    const row = rows[peak.row];
    const name = `${row.id === null ? '' : `${row.name}: `}${labels[peak.emotion]} ${fixed(100 * peak.score, 0)}%`;
    const comment = `rank ${index + 1}; ${edit.note}`;
    return { rank: index, frame: frameOf(peak.apex), apex: peak.apex, emotion: peak.emotion, name: oneLine(name), comment: oneLine(comment) };
  });
  return marks.sort((a, b) => a.apex - b.apex); // stable: equal times stay by rank
}

/** Write DaVinci Resolve's EDL: a marker for each frame, so peaks of a frame share it. */
function resolveMarkers(chosen) {
  const frames = new Map();
  const marks = marksOf(chosen).sort((a, b) => a.frame - b.frame || a.rank - b.rank);
  for (const mark of marks) frames.set(mark.frame, [...(frames.get(mark.frame) ?? []), mark]);
  const field = (group, name) => group.map((mark) => mark[name].replaceAll('|', '/')).join(' / ');
  const events = [...frames].map(([frame, group], index) => {
    const span = `${timecode(frame)} ${timecode(frame + 1)}`;
    const colour = edit.resolve[group[0].emotion];
    return `${String(index + 1).padStart(3, '0')}  001      V     C        ${span} ${span}\n`
      + `${field(group, 'comment')} |C:ResolveColor${colour} |M:${field(group, 'name')} |D:1\n\n`;
  });
  return edit.header + events.join('');
}

/** Write a CMX 3600 EDL: the whole video with a locator for each peak. */
function locators(chosen) {
  const lines = marksOf(chosen).map((mark) => `* LOC: ${timecode(mark.frame)} ${edit.locator[mark.emotion].padEnd(7)} ${mark.name}\n`);
  return edit.before + lines.join('') + edit.after;
}

/** Format a number as Python writes a float. */
function float(value) {
  if (value !== 0 && Math.abs(value) < 1e-4) return value.toExponential().replace(/e-(\d)$/, 'e-0$1');
  return Number.isInteger(value) ? `${value}.0` : String(value);
}

/** Write the table of `fervid peaks -f csv`. */
function table(chosen) {
  const cell = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = chosen.map((peak, index) => [
    index + 1, float(peak.time), peak.apex, float(peak.start), float(peak.end), peak.track,
    cell(rows[peak.row].id ?? ''), cell(labels[peak.emotion]), ...edit.numbers.map((name) => float(peak[name])),
  ].join(','));
  return [edit.columns.join(','), ...lines, ''].join('\n');
}

const MARKERS = [
  ['EDL for Resolve', '.markers.edl', resolveMarkers],
  ['EDL with locators', '.edl', locators],
  ['CSV', '.peaks.csv', table],
];

function save(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: 'text/plain' }));
  make('a', { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

function fillSave() {
  for (const [label, suffix, write] of MARKERS) {
    const button = make('button', { type: 'button' }, label);
    button.addEventListener('click', () => save(edit.stem + suffix, write(chosenPeaks())));
    byId('save').append(button);
  }
}
