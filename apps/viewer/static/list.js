// The list at the left: filters with counts, and one page of rows at a time.

import { ask, h } from "./dom.js";
import { kind } from "./draw.js";
import { badge } from "./episode.js";

const RESULTS = ["success", "failure", "error", "broken"];
const SELECTS = ["suite", "family", "by"];
export const FILTERS = ["q", "result", ...SELECTS];

const at = (id) => document.getElementById(id);
const number = (n) => n.toLocaleString("en");

/** A page of the list for these filters: the one that begins at `start`, or the one with the episode `around`. */
export const fetchPage = (filter, { start = 0, around = "" }) =>
  ask(`api/episodes?${new URLSearchParams({ ...filter, start, around })}`);

/** Show a page. `choose(row)` opens an episode, `set(name, value)` changes a filter. */
export function showPage(found, filter, current, choose, set) {
  at("total").textContent = number(found.total);
  at("rows").replaceChildren(...found.rows.map((row) => item(row, choose)));
  if (!found.total) {
    const clear = () => FILTERS.forEach((name) => set(name, ""));
    at("rows").append(h("li", { class: "none" }, "No episode fits. ", h("button", { type: "button", onclick: clear }, "Clear filters")));
  }
  const last = found.start + found.rows.length;
  at("range").textContent = found.total ? `${number(found.start + 1)}–${number(last)} of ${number(found.total)}` : "";
  at("earlier").disabled = found.start === 0;
  at("later").disabled = last >= found.total;
  at("pager").hidden = found.total <= found.page;
  at("result").replaceChildren(...RESULTS.map((name) => chip(name, found.counts.result[name] ?? 0, filter.result, set)).filter(Boolean));
  for (const name of SELECTS) options(document.querySelector(`select[name=${name}]`), found.counts[name], filter[name]);
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
  const key = `${row.store}/${row.id}`;
  const facts = row.result === "broken" ? row.why : `${row.family} · ${row.seed}`;
  return h(
    "li",
    {},
    h(
      "button",
      { type: "button", "data-episode": key, "data-result": row.result, title: row.why || row.id, onclick: () => choose(row) },
      h("span", { class: "goal" }, row.goal || row.id),
      h("span", { class: "facts" }, row.result === "broken" ? badge("broken") : h("span", { class: "actor", "data-by": kind(row.policy) }, row.policy),
        h("span", { class: "place" }, facts), row.steps > 0 && h("span", { class: "steps" }, `${row.steps}`)),
    ),
  );
}

function chip(name, count, chosen, set) {
  const on = chosen === name;
  if (!count && !on) return null;
  return h(
    "button",
    { type: "button", "data-result": name, "aria-pressed": String(on), onclick: () => set("result", on ? "" : name) },
    name,
    h("b", {}, number(count)),
  );
}

function options(select, counts, chosen) {
  const names = Object.keys(counts);
  if (chosen && !names.includes(chosen)) names.push(chosen);
  const total = Object.values(counts).reduce((a, b) => a + b, 0);
  select.replaceChildren(
    h("option", { value: "" }, `all (${number(total)})`),
    ...names.map((name) => h("option", { value: name }, `${name || "(unknown)"} (${number(counts[name] ?? 0)})`)),
  );
  select.value = chosen;
}
