// What the answer at a peak comes from: frames with what spoke for and against it, and the contributions.
function fillWhy() {
  const toggle = byId('why-toggle');
  toggle.hidden = data.why === null;
  toggle.setAttribute('aria-pressed', String(view.why));
  const explained = peaks.filter((peak) => peak.why).length;
  byId('why-hint').hidden = !view.why;
  byId('why-hint').textContent = `${plural(explained, 'peak')} ${explained === 1 ? 'is' : 'are'} explained: orange pixels and `
    + 'landmarks spoke for the answer, blue ones against it, in four frames of the window. The numbers are contributions to its '
    + 'logit, of each stream, and of the landmarks of each region. They show what the model used, not that it is right.';
}

function toggleWhy() {
  view.why = !view.why;
  fillWhy();
  fillPeaks();
}

function contributions(values) {
  const longest = Math.max(1e-6, ...Object.values(values).map(Math.abs));
  const list = make('dl');
  for (const [name, value] of Object.entries(values)) {
    const bar = make('i', { class: value < 0 ? 'against' : 'for' });
    bar.style.width = `${(50 * Math.abs(value)) / longest}%`;
    list.append(make('dt', {}, name), make('span', { class: 'way', 'aria-hidden': 'true' }, bar), make('dd', {}, signed(value)));
  }
  return list;
}

function whyPanel(peak) {
  const { why } = peak;
  const alt = `Four frames before, at and after the peak, tinted by what spoke for and against ${labels[peak.emotion]}`;
  return make(
    'div', { class: 'why' },
    make('img', { alt, width: 224, height: 224, src: why.picture }),
    contributions(why.streams),
    Object.keys(why.regions).length ? contributions(why.regions) : null,
  );
}
