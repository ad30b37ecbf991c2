'use strict';
const film = document.querySelector('video');
const rows = document.querySelector('.rows');
const head = document.getElementById('head');
const seconds = Number(rows.dataset.seconds);
const offset = Number(rows.dataset.offset);

function show(time) {
  const chart = rows.querySelector('svg').getBoundingClientRect();
  const left = chart.left - rows.getBoundingClientRect().left - rows.clientLeft;
  head.style.left = `${left + chart.width * Math.min(1, Math.max(0, time / seconds))}px`;
}

function seek(time) {
  film.currentTime = time + offset;
  show(time);
}

rows.addEventListener('click', (event) => {
  const chart = event.target.closest('svg');
  if (chart) {
    const box = chart.getBoundingClientRect();
    seek((event.clientX - box.left) / box.width * seconds);
  }
});
document.querySelectorAll('button[data-time]').forEach((button) => {
  button.addEventListener('click', () => seek(Number(button.dataset.time)));
});
film.addEventListener('timeupdate', () => show(film.currentTime - offset));
window.addEventListener('resize', () => show(film.currentTime - offset));
show(0);
