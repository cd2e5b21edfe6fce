// Begins an episode of a MiniWoB++ page, and returns its goal in words.
// Not covered: its reward, and what an oracle wants to know of the page (suite.py).
async (seed) => {
  Math.seedrandom(seed);
  core.EPISODE_MAX_TIME = 1e9; // lifts the limit by making it eleven days: setTimeout takes no more than 2^31 ms
  core.startEpisodeReal();
  while (!WOB_TASK_READY) await new Promise(requestAnimationFrame);
  const said = core.getUtterance();
  let goal = typeof said === 'string' ? said : said.utterance;

  // In two tasks part of the goal is a drawing; it is put into words as BrowserGym does.
  const query = document.getElementById('query');
  const text = (node) => node.textContent.replace(/\s+/g, ' ').trim();
  const icon = query.querySelector('.ui-icon'), swatch = query.querySelector('[style*="background-color"]');
  if (icon) goal = `${text(query.childNodes[0])} "${icon.classList[1]}" ${text(query.childNodes[2])}`;
  if (swatch && swatch.style.backgroundColor.startsWith('rgb')) { // a colour with a name is said by the page
    const hex = (n) => (+n).toString(16).padStart(2, '0');
    const colour = swatch.style.backgroundColor.match(/\d+/g).map(hex).join('');
    goal = `${text(query.children[0])} #${colour} ${text(query.children[2])}`;
  }

  // The goal keeps its room, so that the rest stays where it was drawn.
  const style = document.getElementById('shopfloor') || document.head.appendChild(document.createElement('style'));
  style.id = 'shopfloor';
  style.textContent = '#query, #query * { visibility: hidden !important; transition: none !important } ' +
    '#reward-display, #click-canvas, #sync-task-cover { display: none !important }';
  if (document.activeElement) document.activeElement.blur();
  window.shopfloorSeed = seed;
  return goal;
}
