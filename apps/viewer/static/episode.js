// One episode: what was asked and how it ended, its steps as a filmstrip, one look large, and its text.

import { h } from "./dom.js";
import { kind, shot } from "./draw.js";

/** The pane of an episode: its node, and `show(at)`, which turns it to a step, the last at most.
 *  `go(at)` is called when a step is chosen; `tools` stand at the head's right. */
export function pane(episode, go, tools = []) {
  if (episode.broken) return { node: broken(episode, tools), show() {} };
  const address = `api/episodes/${episode.store}/${encodeURIComponent(episode.id)}`;
  const strip = film(episode, go, address);
  const inner = h("div", { class: "inner" });
  const body = h("div", { class: "body" }, inner);
  const props = { class: "pane", "data-result": episode.result, "data-id": episode.id };
  const node = h("article", props, header(episode, tools), strip, body);
  const show = (wanted) => {
    const at = Math.min(wanted, episode.frames.length - 1);
    const stage = h("div", { class: "stage" }, shot(episode.frames[at], address));
    inner.replaceChildren(stage, details(episode, at, stage));
    inner.querySelector(".acted")?.scrollIntoView({ block: "nearest" });
    strip.querySelector("[aria-current]")?.removeAttribute("aria-current");
    const button = strip.children[at].firstElementChild;
    button.setAttribute("aria-current", "step");
    strip.scrollLeft = button.offsetLeft - (strip.clientWidth - button.offsetWidth) / 2;
  };
  return { node, show };
}

const ENDS = {
  done: "said done",
  infeasible: "said it can't be done",
  over: "ended by the page",
  budget: "ran out of steps",
  error: "broke off",
};

export const badge = (result) => h("span", { class: "badge", "data-result": result }, result);
export const actor = (by) => h("span", { class: "actor", "data-by": kind(by) }, by);

function broken(episode, tools) {
  return h(
    "article",
    { class: "pane", "data-result": "broken", "data-id": episode.id },
    head("broken", episode.id, [], tools),
    h("div", { class: "why" }, h("h2", {}, "This episode can't be shown"), h("p", {}, episode.broken)),
  );
}

const head = (result, words, facts, tools) =>
  h(
    "header",
    {},
    h("div", { class: "row" }, badge(result), h("h2", {}, words)),
    h("p", { class: "facts" }, ...facts, h("span", { class: "tools" }, ...tools)),
  );

function header(episode, tools) {
  const steps = episode.frames.length - 1;
  const when = new Date(episode.started).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  const facts = [
    h("span", {}, episode.task),
    episode.heldOut && h("span", { class: "held" }, "held out"),
    actor(episode.policy),
    episode.model && h("span", {}, episode.model),
    h("span", {}, `${steps} ${steps === 1 ? "step" : "steps"}, ${ENDS[episode.ended] ?? episode.ended}`),
    [0, 1].includes(episode.reward) ? null : h("span", {}, `reward ${episode.reward}`),
    h("time", { datetime: episode.started }, when),
  ];
  return head(episode.result, episode.goal || "(no goal was given)", facts, tools);
}

function film(episode, go, address) {
  const frames = episode.frames.map((frame, number) => {
    const step = frame.step;
    return h(
      "li",
      {},
      h(
        "button",
        {
          type: "button",
          class: step?.error || step?.valid === false ? "failed" : null,
          "data-by": step ? kind(step.by) : "end",
          title: step ? `${step.by}: ${step.action}` : "The page at the end",
          onclick: () => go(number),
        },
        frame.image ? h("img", { src: `${address}/${frame.image}`, alt: "", loading: "lazy" }) : h("i", {}),
        h("span", {}, step ? `${number + 1} ${step.name.replaceAll("_", " ")}` : "end"),
      ),
    );
  });
  return h("ol", { class: "film", "aria-label": "Steps" }, ...frames);
}

function details(episode, at, stage) {
  const frame = episode.frames[at];
  const steps = episode.frames.length - 1;
  return h(
    "section",
    { class: "details", "aria-label": "This step" },
    frame.step ? turn(frame.step, at, steps) : end(episode),
    h("h3", {}, "The page as text"),
    text(frame, stage),
  );
}

function turn(step, at, steps) {
  const said = step.said && step.said !== step.action ? step.said : null;
  const [read, written] = step.tokens;
  const tokens = written > 0 && `${read} tokens read, ${written} written`;
  const facts = [`step ${at + 1} of ${steps}`, `${step.seconds.toFixed(2)} s`, tokens];
  const better = step.better && ["Thrown in at random; the oracle would have: ", h("code", {}, step.better)];
  return h(
    "div",
    { class: "turn" },
    h("p", { class: "where" }, actor(step.by), ...facts.map((fact) => fact && h("span", {}, fact))),
    h("p", { class: "action" }, h("code", {}, step.action)),
    step.valid ? null : h("p", { class: "wrong" }, "What was said is no action."),
    step.error !== null && h("p", { class: "wrong" }, `Failed: ${step.error || "no reason given"}`),
    said && h("p", { class: "said" }, said),
    better && h("p", { class: "better" }, ...better),
  );
}

function end(episode) {
  const { error, reason, goal, ...rest } = episode.extra;
  const all = Object.entries({ "the task's own words": goal, ...rest });
  const kept = all.filter(([, value]) => value && value !== episode.goal);
  const entry = ([name, value]) => [
    h("dt", {}, name),
    h("dd", {}, typeof value === "object" ? JSON.stringify(value) : String(value)),
  ];
  return h(
    "div",
    { class: "turn" },
    h("p", { class: "where" }, badge(episode.result), h("span", {}, ENDS[episode.ended] ?? episode.ended)),
    episode.message !== null && h("p", { class: "said" }, episode.message || "(said nothing)"),
    (error || reason) && h("p", { class: error ? "wrong" : "said" }, error || reason),
    kept.length > 0 && h("dl", {}, ...kept.map(entry)),
    h("p", { class: "id" }, h("code", {}, episode.id)),
  );
}

/** The observation's text, a line an element; pointing at a line shows the element's box. */
function text(frame, stage) {
  const acted = new Set(frame.step?.boxes.map(String));
  const line = (e, i) => {
    const show = (on) => stage.querySelector(`[data-element="${i}"]`)?.classList.toggle("lit", on);
    return h(
      "li",
      {
        class: acted.has(String(e.box)) && e.ref !== null ? "acted" : e.listed ? null : "unlisted",
        title: e.listed ? null : "Not in the text: there are too many",
        tabindex: "-1",
        onmouseenter: () => show(true),
        onmouseleave: () => show(false),
      },
      e.line,
    );
  };
  const plain = (l) => h("li", { class: "plain" }, l);
  const lines = [frame.before.map(plain), frame.elements.map(line), frame.after.map(plain)];
  return h("ol", { class: "text" }, ...lines);
}
