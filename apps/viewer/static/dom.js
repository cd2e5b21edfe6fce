// Making elements, and asking the server. Text goes in as text, never as markup: it may be anybody's.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [k, v] of Object.entries(value)) node.style.setProperty(k, v);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return node;
}

export const h = (tag, props = {}, ...inside) => fill(document.createElement(tag), props, inside);
export const svg = (tag, props = {}, ...inside) => fill(document.createElementNS(SVG, tag), props, inside);

/** What the server answers at `path`, as JSON. Throws an Error with words for people. */
export async function ask(path) {
  let answer;
  try {
    answer = await fetch(path);
  } catch {
    throw new Error("The viewer has stopped; start `shopfloor view` again.");
  }
  if (answer.status === 404) throw new Error("There is no such episode here.");
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}
