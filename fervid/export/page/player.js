// The film: where it is, where its first frame stands on the browser's clock, and going to a moment.
const video = byId('video');
const HAIR = 0.001; // seconds past a frame's start, so that rounding does not show the one before
const LONGEST_WAIT = 3000; // milliseconds until a first frame that does not come is given up

// Browsers do not agree where a file's clock begins: some count from the container's zero, some from its first
// packet. The first frame that is shown says where it stands, and all seconds here count from that frame.
const film = { zero: null, isThere: false, wish: null };

function attach(address) {
  film.zero = null;
  film.isThere = false;
  byId('stage').hidden = false;
  byId('missing').hidden = true;
  if (video.requestVideoFrameCallback) {
    video.requestVideoFrameCallback((_, frame) => settle(frame.mediaTime));
  }
  video.src = address;
}

function settle(zero) {
  if (film.zero !== null) return;
  film.zero = zero;
  if (film.wish !== null) seek(film.wish);
}

video.addEventListener('loadeddata', () => {
  film.isThere = true;
  view.playing ??= 0;
  if (!video.requestVideoFrameCallback) settle(data.source.offset);
  else setTimeout(() => settle(data.source.offset), LONGEST_WAIT);
  const lasts = video.duration;
  if (film.isChosen && Number.isFinite(lasts) && Math.abs(lasts - data.source.duration - data.source.offset) > 2) {
    tellMissing(`That video lasts ${clock(lasts)}, and this timeline's ${clock(data.source.duration)}: it may be another one.`);
  }
  changed();
});

video.addEventListener('error', () => {
  byId('stage').hidden = true;
  view.playing = null;
  const name = data.source.name;
  tellMissing(film.isChosen
    ? 'This browser cannot play that file.'
    : `${name} is not where this page looks for it, or this browser cannot play it. Put it back, or choose it here.`);
  changed();
});

function tellMissing(text) {
  byId('missing').hidden = false;
  byId('missing-text').textContent = text;
}

const filmTime = () => video.currentTime - (film.zero ?? data.source.offset);

/** Go to a moment of the film and play. */
function seek(time) {
  film.wish = time;
  if (film.isThere && film.zero !== null) {
    film.wish = null;
    video.currentTime = film.zero + time + HAIR;
  }
  // Where nothing is loaded yet, this loads it. A browser may want a click on the player itself first.
  const playing = video.play();
  if (playing) playing.catch(() => undefined);
}

/** What a click on anything with a time does. */
function goTo(time, row) {
  if (row) view.chosen = row.index;
  reveal(time);
  if (!byId('stage').hidden) {
    view.playing = time;
    seek(time);
  } else {
    view.pointer = { time, row };
    if (row) byId('spoken').textContent = describe(row, time).map((part) => part.textContent).join(', ');
  }
  changed();
}

function follow() {
  if (video.seeking || film.zero === null) return;
  view.playing = Math.max(0, filmTime());
  if (!video.paused) {
    reveal(view.playing);
    requestAnimationFrame(follow);
  }
  changed();
}
for (const name of ['play', 'seeked', 'pause']) video.addEventListener(name, follow);

byId('choose').addEventListener('click', () => byId('file').click());
byId('file').addEventListener('change', () => {
  const [file] = byId('file').files;
  if (!file) return;
  film.isChosen = true;
  attach(URL.createObjectURL(file));
});

function startPlayer() {
  if (data.film) attach(data.film);
  else tellMissing('Moments can be played where the video is.');
}
