// The video player: loading the video, finding its first frame on the browser's clock, and seeking.
const video = byId('video');
const HAIR = 0.001; // seconds after a frame's start, so that rounding does not show the previous frame
const LONGEST_WAIT = 3000; // milliseconds to wait for the first frame

// Some browsers count a file's time from the container's zero, others from its first packet. The first frame
// that is shown gives the offset, and all seconds here count from that frame.
const film = { zero: null, isLoaded: false, target: null, isWanted: false, isInView: true, frame: 0 };

function attach(address) {
  film.zero = null;
  film.isLoaded = false;
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
  if (film.target !== null) seek(film.target);
}

video.addEventListener('loadeddata', () => {
  film.isLoaded = true;
  view.playing ??= 0;
  if (!video.requestVideoFrameCallback) settle(data.source.offset);
  else setTimeout(() => settle(data.source.offset), LONGEST_WAIT);
  const lasts = video.duration;
  if (film.isChosen && Number.isFinite(lasts) && Math.abs(lasts - data.source.duration - data.source.offset) > 2) {
    showMissing(`That video is ${clock(lasts)} long, but this timeline's is ${clock(data.source.duration)}: it may be another video.`);
  }
  changed();
});

video.addEventListener('error', () => {
  byId('stage').hidden = true;
  view.playing = null;
  const name = data.source.name;
  showMissing(film.isChosen
    ? 'This browser cannot play that file.'
    : `${name} is not where this page expects it, or this browser cannot play it. Move it back, or choose it here.`);
  changed();
});

function showMissing(text) {
  byId('missing').hidden = false;
  byId('missing-text').textContent = text;
}

const filmTime = () => video.currentTime - (film.zero ?? data.source.offset);

/** Go to a time of the video and play. */
function seek(time) {
  film.target = time;
  if (film.isLoaded && film.zero !== null) {
    film.target = null;
    video.currentTime = film.zero + time + HAIR;
  }
  // This also loads the video. A browser may require a click on the player first.
  const playing = video.play();
  if (playing) playing.catch(() => undefined);
}

/** Go to a time after a click on anything that has one. */
function goTo(time, row) {
  if (row) view.chosen = row.index;
  if (row && !shownRows().includes(row)) view.allRows = true;
  fillLabels();
  reveal(time);
  if (!byId('stage').hidden) {
    view.playing = time;
    film.isWanted = true;
    seek(time);
    dock();
  } else {
    view.pointer = { time, row };
    if (row) byId('spoken').textContent = describe(row, time).map((part) => part.textContent).join(', ');
  }
  changed();
}

/** Keep the player in view: it moves to the corner of the window while its card is scrolled away. */
function dock() {
  const stage = byId('stage');
  const isAway = film.isWanted && !film.isInView && !stage.hidden;
  if (isAway === document.body.classList.contains('docked')) return;
  stage.style.minHeight = isAway ? `${stage.offsetHeight}px` : '';
  document.body.classList.toggle('docked', isAway);
}
new IntersectionObserver(([entry]) => {
  film.isInView = entry.isIntersecting;
  dock();
}, { rootMargin: '-120px 0px 0px' }).observe(byId('stage'));
video.addEventListener('play', () => {
  film.isWanted = true;
  dock();
});
byId('undock').addEventListener('click', () => {
  film.isWanted = false;
  video.pause();
  dock();
});

function follow() {
  if (video.seeking || film.zero === null) return;
  view.playing = Math.max(0, filmTime());
  if (!video.paused) {
    reveal(view.playing);
    cancelAnimationFrame(film.frame); // each seek calls this too, and one loop is enough
    film.frame = requestAnimationFrame(follow);
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
  else showMissing('Choose the video to play moments from it.');
}
