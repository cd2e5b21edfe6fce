// What is open, kept in the address: filters, episode, step, and the one it is compared with. Keys and clicks
// change that; what is shown follows from it.
//
// Not covered: the list (list.js), one episode (episode.js), the drawing (draw.js).

import { ask, h } from "./dom.js";
import { pane } from "./episode.js";
import { FILTERS, fetchPage, mark, showPage } from "./list.js";

const panes = document.getElementById("panes");
const search = document.getElementById("q");
const state = { e: "", s: 0, vs: "", ...Object.fromEntries(FILTERS.map((name) => [name, ""])) };
let found = { total: 0, start: 0, rows: [] }; // the page of the list that is shown
let open = []; // the episodes shown, one or two, each with its pane
let last = 0; // the farthest step there is
const asked = { list: 0, panes: 0 }; // counted, so that a late answer to an older question is dropped

const key = (row) => `${row.store}/${row.id}`;
const filter = () => Object.fromEntries(FILTERS.map((name) => [name, state[name]]));

function load() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const name of Object.keys(state)) state[name] = given.get(name) ?? "";
  state.s = Math.max(0, Number.parseInt(state.s, 10) - 1 || 0); // counted from 1 in the address
}

function save(how = "replaceState") {
  const given = Object.entries({ ...state, s: state.s ? state.s + 1 : "" });
  history[how](null, "", `#${new URLSearchParams(given.filter(([, value]) => value !== ""))}`);
}

/** Show another page of the list; whether it was shown, and not overtaken by a later one. */
async function refresh(where = {}) {
  const mine = ++asked.list;
  const page = await fetchPage(filter(), where);
  if (mine !== asked.list) return false;
  found = page;
  showPage(found, filter(), state.e, (row) => choose(key(row)), set);
  return true;
}

async function choose(episode, how = "pushState") {
  if (episode !== state.e) Object.assign(state, { e: episode, s: 0 });
  if (state.vs) state.vs = (await rival()) ?? "";
  save(how);
  mark(state.e);
  await show();
}

/** Open what the state says. */
async function show() {
  const mine = ++asked.panes;
  const wanted = [state.e, state.vs].filter(Boolean);
  const episodes = await Promise.all(wanted.map((episode) => ask(`api/episodes/${address(episode)}`)));
  const fellows = state.vs ? await ask(`api/episodes/${address(state.e)}/fellows`) : null;
  if (mine !== asked.panes) return;
  open = episodes.map((episode, i) => pane(episode, step, tools(i, fellows)));
  panes.classList.toggle("two", open.length === 2);
  panes.replaceChildren(...open.map(({ node }) => node));
  open.forEach(({ show: turnTo }) => turnTo(state.s));
  last = Math.max(...episodes.map((episode) => (episode.frames?.length ?? 1) - 1));
  document.title = `${episodes[0].goal ?? "Broken episode"} · Shopfloor`;
}

const address = (episode) => {
  const [store, ...id] = episode.split("/");
  return `${store}/${encodeURIComponent(id.join("/"))}`;
};

/** What stands at the right of a pane's head; `fellows` are whom the first may be compared with. */
function tools(number, fellows) {
  const button = (words, label) =>
    h("button", { type: "button", onclick: compare, title: "c", "aria-label": label }, words);
  if (!state.vs) return [button("Compare")];
  if (number === 0) return [];
  const option = (row) => {
    const words = `${row.result} · ${row.policy} · seed ${row.seed} · ${row.steps} steps`;
    return h("option", { value: key(row), selected: key(row) === state.vs }, words);
  };
  const group = (label, rows) => rows.length > 0 && h("optgroup", { label }, ...rows.map(option));
  const onchange = ({ target }) => {
    state.vs = target.value;
    save("pushState");
    show();
  };
  const groups = [
    group("Ended the other way", fellows.opposite),
    group("Ended the same way", fellows.same),
  ];
  const choice = h("select", { "aria-label": "Compare with", onchange }, ...groups);
  return [choice, button("×", "End the comparison")];
}

/** The one to compare with: the nearest of the family that ended the other way, else the nearest. */
async function rival() {
  const { opposite, same } = await ask(`api/episodes/${address(state.e)}/fellows`);
  const best = opposite[0] ?? same[0];
  return best && key(best);
}

async function compare() {
  if (!state.e) return;
  if (state.vs) {
    state.vs = "";
  } else {
    const other = await rival();
    if (!other) return tell("There is no other episode of this family to compare with.");
    state.vs = other;
  }
  save("pushState");
  await show();
}

function step(at) {
  state.s = Math.max(0, Math.min(at, last));
  save();
  open.forEach(({ show: turnTo }) => turnTo(state.s));
}

/** The next or previous episode of the list, over the page's edge too. */
async function move(by) {
  const here = found.rows.findIndex((row) => key(row) === state.e);
  let to = here + by;
  if (here < 0) to = 0;
  if (found.start + to < 0 || found.start + to >= found.total) return;
  if (to < 0 || to >= found.rows.length) {
    if (!(await turnPage(by))) return;
    to = by < 0 ? found.rows.length - 1 : 0;
  }
  await choose(key(found.rows[to]));
}

async function set(filters) {
  Object.assign(state, filters);
  if (!(await refresh({ around: state.e }))) return;
  const stays = found.rows.some((row) => key(row) === state.e);
  if (!stays && found.total) return choose(key(found.rows[0]), "replaceState");
  save();
}

let telling = 0;
function tell(words) {
  clearTimeout(telling);
  document.getElementById("tell")?.remove();
  document.body.append(h("p", { id: "tell", role: "status" }, words));
  telling = setTimeout(() => document.getElementById("tell")?.remove(), 5000);
}

addEventListener("unhandledrejection", ({ reason }) => tell(reason.message)); // the server has gone, mostly

const KEYS = {
  j: () => step(state.s + 1),
  k: () => step(state.s - 1),
  n: () => move(1),
  p: () => move(-1),
  c: compare,
  b: () => document.body.classList.toggle("boxes"),
  f: () => search.select(),
  "?": () => document.getElementById("help").showModal(),
  Home: () => step(0),
  End: () => step(last),
  Escape: () => state.vs && compare(),
};
Object.assign(KEYS, { ArrowRight: KEYS.j, ArrowLeft: KEYS.k });

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.matches("input, select")) {
    if (event.key === "Escape" || event.key === "Enter") event.target.blur();
    return;
  }
  const act = KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

let typing = 0;
search.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => set({ q: search.value.trim() }), 150);
});
document.getElementById("filters").addEventListener("change", ({ target }) => {
  if (!target.matches("select")) return;
  target.blur(); // the keys are the page's again
  set({ [target.name]: target.value });
});
document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
const turnPage = (by) => refresh({ start: found.start + by * found.page });
document.getElementById("earlier").addEventListener("click", () => turnPage(-1));
document.getElementById("later").addEventListener("click", () => turnPage(1));
document.getElementById("keys").addEventListener("click", KEYS["?"]);

async function start() {
  load();
  if (!(await refresh({ around: state.e }))) return;
  if (state.e) await show();
  else if (found.total) await choose(key(found.rows[0]), "replaceState");
}
addEventListener("popstate", start); // back, forward, and an address typed by hand
start();
