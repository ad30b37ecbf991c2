// Names for people, given in the page and taken out as a command line: the page itself is not saved.
const persons = rows.filter((row) => row.kind === 'person');
const LONGEST_NAME = 200; // characters

function fillPeople() {
  byId('people-card').hidden = !persons.length;
  byId('people-list').replaceChildren(...persons.map((row) => {
    const input = make('input', { type: 'text', maxLength: LONGEST_NAME, placeholder: row.id, spellcheck: false, autocomplete: 'off' });
    input.value = row.given === row.id ? '' : row.given;
    input.setAttribute('aria-label', `Name of ${row.given}`);
    input.addEventListener('input', () => rename(row, input));
    input.addEventListener('change', renamed);
    return make('li', {}, faceOf(row), make('div', {}, input, make('span', { class: 'hint' }, `${row.id}, ${length(row.seen)} on screen`)));
  }));
  byId('people-hint').textContent = 'Names are shown in this page until it is closed. To keep them, copy the command below and run '
    + `it where ${data.timeline} is, then make the page again.`;
  byId('people-copy').addEventListener('click', () => copy(byId('people-command').textContent, byId('people-copy')));
}

/** Return why a name cannot be given, or null. */
function faultOf(row, name) {
  if (/^P[0-9]+$/.test(name)) return `${name} is an id that fervid gives to persons: give another name.`;
  if (persons.some((other) => other !== row && [other.id, other.name].includes(name))) return `Another person is already called ${name}.`;
  return null;
}

function rename(row, input) {
  const name = oneLine(input.value);
  const fault = name ? faultOf(row, name) : null;
  input.setAttribute('aria-invalid', String(fault !== null));
  byId('people-fault').hidden = fault === null;
  byId('people-fault').textContent = fault ?? '';
  if (fault === null) row.name = name || row.id;
  fillCommand();
}

/** Quote a word for a shell, if it needs it. */
const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

function fillCommand() {
  const changes = persons.filter((row) => row.name !== row.given);
  const words = changes.map((row) => `--name ${quoted(`${row.id}=${row.name === row.id ? '' : row.name}`)}`);
  const file = data.timeline.startsWith('-') ? `./${data.timeline}` : data.timeline;
  byId('people-line').hidden = !changes.length;
  byId('people-command').textContent = ['fervid people', quoted(file), ...words, '-y'].join(' ');
}

/** Show a new name everywhere. */
function renamed() {
  fillPersons();
  fillLabels();
  fillTotals();
  fillPeaks();
  fillList();
  changed();
}
