// A screenshot with an action drawn on it. Places are CSS pixels of the page that was seen.

import { h, svg } from "./dom.js";

/** The look as a figure: image, every element's box (shown on demand), and the marks of its step. */
export function shot(frame, address) {
  if (!frame.image) return h("p", { class: "nothing" }, "No screenshot was taken of this page.");
  const [width, height] = frame.viewport;
  const step = frame.step;
  const size = { "--w": width, "--h": height };
  const marks = svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  const all = frame.elements.map((e, i) => rect(e.box, { class: "element", "data-element": i }));
  marks.append(...all);
  if (step) marks.append(...drawn(step, Math.max(width, height)));
  return h(
    "div",
    { class: "shot", style: size, "data-by": step && kind(step.by) },
    h("img", { src: `${address}/${frame.image}`, alt: frame.before[0], draggable: "false" }),
    marks,
    step && label(step, width, height),
  );
}

/** Which colour an actor has: its own, or a model's. */
export const kind = (by) => (["oracle", "random", "person", "program"].includes(by) ? by : "model");

const rect = ([x, y, width, height], props) => svg("rect", { x, y, width, height, ...props });

function drawn(step, size) {
  const shapes = step.boxes.flatMap((box) => [rect(box, { class: "halo" }), rect(box, { class: "target" })]);
  const [from] = step.line;
  const to = step.line.at(-1);
  if (!from) return shapes;
  if (step.line.length > 1) {
    const points = step.line.join(" "); // x,y x,y ...
    shapes.push(svg("polyline", { class: "halo", points }), svg("polyline", { class: "path", points }));
    shapes.push(svg("polygon", { class: "head", points: head(step.line, size / 55) }));
    const start = svg("circle", { class: "from", cx: from[0], cy: from[1], r: size / 130 });
    if (step.name !== "scroll") shapes.push(start);
  } else {
    shapes.push(svg("circle", { class: "ring", cx: to[0], cy: to[1], r: size / 70 }));
    shapes.push(svg("circle", { class: "point", cx: to[0], cy: to[1], r: size / 240 }));
  }
  return shapes;
}

/** The arrow's head: a triangle at the line's end, pointing the way it came. */
function head(line, size) {
  const [x, y] = line.at(-1);
  const before = line.findLast(([a, b]) => Math.hypot(x - a, y - b) > size / 2) ?? line[0];
  const angle = Math.atan2(y - before[1], x - before[0]);
  const corner = (turn, far) => [x + far * Math.cos(angle + turn), y + far * Math.sin(angle + turn)];
  return [[x, y], corner(Math.PI - 0.45, size), corner(Math.PI + 0.45, size)].join(" ");
}

const SAYS = { send_msg_to_user: "says", report_infeasible: "gives up:" };

/** What is done, in words, beside where it is done; what has no place stands at the foot of the page. */
function label(step, width, height) {
  const short = step.words.length > 60 ? `${step.words.slice(0, 59)}…` : step.words;
  const words = short && h("q", {}, short);
  const text = [SAYS[step.name] ?? step.name.replaceAll("_", " "), words && " ", words];
  const box = step.boxes[0] ?? (step.line[0] && [...step.line.at(-1), 0, 0]);
  if (!box) return h("span", { class: "label adrift" }, ...text);
  const [x, y, w, tall] = box;
  const above = (y + tall) / height > 0.86;
  const right = x / width > 0.6;
  const percent = (part, whole) => `${(100 * Math.max(0, Math.min(1, part / whole))).toFixed(3)}%`;
  const place = {
    [above ? "bottom" : "top"]: percent(above ? height - y : y + tall, height),
    [right ? "right" : "left"]: percent(right ? width - x - w : x, width),
  };
  return h("span", { class: `label ${above ? "above" : "below"}`, style: place }, ...text);
}
