// The list at the left: filters with counts, and one page of rows at a time.

import { ask, h } from "./dom.js";
import { actor, badge } from "./episode.js";

const RESULTS = ["success", "failure", "error", "broken"];
const SELECTS = ["suite", "family", "by"];
export const FILTERS = ["q", "result", ...SELECTS];

const at = (id) => document.getElementById(id);
const number = (n) => n.toLocaleString("en");

/** A page of the list for these filters: that from row `start`, or that with the episode `around`. */
export const fetchPage = (filter, { start = 0, around = "" }) =>
  ask(`api/episodes?${new URLSearchParams({ ...filter, start, around })}`);

/** Show a page. `choose(row)` opens an episode, `set({name: value})` changes filters. */
export function showPage(found, filter, current, choose, set) {
  at("total").textContent = number(found.total);
  at("rows").replaceChildren(...found.rows.map((row) => item(row, choose)));
  if (!found.total) {
    const clear = () => set(Object.fromEntries(FILTERS.map((name) => [name, ""])));
    const button = h("button", { type: "button", onclick: clear }, "Clear filters");
    at("rows").append(h("li", { class: "none" }, "No episode fits. ", button));
  }
  const last = found.start + found.rows.length;
  const range = `${number(found.start + 1)}–${number(last)} of ${number(found.total)}`;
  at("range").textContent = found.total ? range : "";
  at("earlier").disabled = found.start === 0;
  at("later").disabled = last >= found.total;
  at("pager").hidden = found.total <= found.page;
  const chips = RESULTS.map((name) => chip(name, found.counts.result[name] ?? 0, filter.result, set));
  at("result").replaceChildren(...chips.filter(Boolean));
  for (const name of SELECTS) {
    options(document.querySelector(`select[name=${name}]`), found.counts[name], filter[name]);
  }
  if (document.activeElement !== at("q")) at("q").value = filter.q;
  mark(current);
}

/** Mark the open episode's row, and bring it into view. */
export function mark(current) {
  at("rows").querySelector("[aria-current]")?.removeAttribute("aria-current");
  const row = at("rows").querySelector(`[data-episode="${CSS.escape(current)}"]`);
  row?.setAttribute("aria-current", "true");
  row?.scrollIntoView({ block: "nearest" });
}

function item(row, choose) {
  const broken = row.result === "broken";
  const by = broken ? badge("broken") : actor(row.policy);
  const place = h("span", { class: "place" }, broken ? row.why : `${row.family} · ${row.seed}`);
  const steps = row.steps > 0 && h("span", { class: "steps" }, `${row.steps}`);
  const props = {
    type: "button",
    "data-episode": `${row.store}/${row.id}`,
    "data-result": row.result,
    title: row.why || row.id,
    onclick: () => choose(row),
  };
  const goal = h("span", { class: "goal" }, row.goal || row.id);
  return h("li", {}, h("button", props, goal, h("span", { class: "facts" }, by, place, steps)));
}

function chip(name, count, chosen, set) {
  const on = chosen === name;
  if (!count && !on) return null;
  const onclick = () => set({ result: on ? "" : name });
  const props = { type: "button", "data-result": name, "aria-pressed": String(on), onclick };
  return h("button", props, name, h("b", {}, number(count)));
}

function options(select, counts, chosen) {
  const names = Object.keys(counts);
  if (chosen && !names.includes(chosen)) names.push(chosen);
  const total = Object.values(counts).reduce((a, b) => a + b, 0);
  const all = h("option", { value: "" }, `all (${number(total)})`);
  const one = (name) => h("option", { value: name }, `${name || "(unknown)"} (${number(counts[name] ?? 0)})`);
  select.replaceChildren(all, ...names.map(one));
  select.value = chosen;
}
