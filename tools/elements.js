// The reader: runs inside each frame of a page and turns it into a list of elements in one pass.
// Evaluated once per document; its state lives in this closure, out of the page's reach.
// Not covered: putting frames together and numbering the refs (elements.py).
() => {
  const heard = window[Symbol.for('shopfloor.heard')] || new WeakSet();
  let kept = []; // what the last reading's ids mean: {el, at}; `at` is where it is drawn (a label, mostly itself)
  let changes = 0;

  const observer = new MutationObserver((records) => { changes += records.length; });
  const WATCH = { subtree: true, childList: true, attributes: true, characterData: true };
  observer.observe(document, WATCH);
  const observedRoots = new WeakSet();
  for (const kind of ['scroll', 'input', 'change', 'focusin', 'focusout'])
    addEventListener(kind, () => { changes += 1; }, { capture: true, passive: true });
  const version = () => { changes += observer.takeRecords().length; return changes; };

  const WIDGETS = new Set(['button', 'link', 'checkbox', 'radio', 'tab', 'menuitem', 'menuitemcheckbox',
    'menuitemradio', 'option', 'switch', 'combobox', 'listbox', 'textbox', 'searchbox', 'slider', 'spinbutton',
    'treeitem']);
  const FIELDS = new Set(['textbox', 'searchbox', 'spinbutton', 'combobox', 'listbox', 'slider', 'file', 'checkbox',
    'radio', 'switch']);
  const SKIP = new Set(['SCRIPT', 'STYLE', 'TEMPLATE', 'NOSCRIPT', 'HEAD', 'META', 'LINK', 'OPTION', 'OPTGROUP',
    'DATALIST', 'DEFS', 'CLIPPATH', 'TITLE', 'DESC', 'SYMBOL', 'AUDIO', 'OBJECT', 'EMBED']);
  const SHAPES = new Set(['circle', 'ellipse', 'rect', 'polygon', 'path', 'line', 'polyline']);
  const INTERACTIVE = 'a[href],button,input:not([type=hidden]),select,textarea,summary,[role=button],[role=link],' +
    '[role=tab],[role=option],[role=menuitem],[role=checkbox],[role=radio],[role=switch],[onclick],.ui-sortable > *';

  const norm = (s) => (s || '').replace(/[\s\u00a0\u200b]+/g, ' ').trim();
  // Not `el.tagName`: a form's field of such a name stands in its place, and in the document's a form or picture.
  const given = (type, name) => Object.getOwnPropertyDescriptor(type.prototype, name).get;
  const [tagName, titleOf, bodyOf] = [given(Element, 'tagName'), given(Document, 'title'), given(Document, 'body')];
  const tagOf = (el) => tagName.call(el).toUpperCase();
  const matches = (el, css) => Element.prototype.matches.call(el, css);
  const attr = (el, name) => norm(el.getAttribute(name));
  const childrenOf = (el) => {
    if (el.shadowRoot) return el.shadowRoot.childNodes;
    if (el.tagName === 'SLOT') { const given = el.assignedNodes({ flatten: true }); if (given.length) return given; }
    return el.childNodes;
  };
  const parentOf = (n) => n.assignedSlot || n.parentElement || (n.getRootNode() instanceof ShadowRoot ? n.getRootNode().host : null);
  const within = (outer, n) => { for (; n; n = parentOf(n)) if (n === outer) return true; return false; };
  const meet = (a, b) => ({ l: Math.max(a.l, b.l), t: Math.max(a.t, b.t), r: Math.min(a.r, b.r), b: Math.min(a.b, b.b) });
  const edges = (r) => ({ l: r.left, t: r.top, r: r.right, b: r.bottom });
  const shows = (e) => e.r - e.l >= 2 && e.b - e.t >= 2;

  // ---- what a person can read -----------------------------------------------------------------------------------
  // Text nobody sees is no part of the page: an order hidden in it would be read by the model alone.
  let judged = new WeakMap(), papers = new WeakMap(), defaults = new WeakMap(); // of one reading
  const SMALLEST = 4, FAINTEST = 0.1, ALIKE = 12; // pixels, opacity, steps of 255
  const rgba = (css) => { const m = (css || '').match(/[\d.]+/g); return m && /^rgb/.test(css) ? [+m[0], +m[1], +m[2], m[3] === undefined ? 1 : +m[3]] : null; };
  // Whether text that stands straight in this element can be read: not tiny, not see-through, not in the colour of what is behind it.
  function legible(el) {
    let known = judged.get(el);
    if (known === undefined) judged.set(el, known = readable(el));
    return known;
  }
  function readable(el) {
    const cs = getComputedStyle(el), ink = rgba(cs.webkitTextFillColor);
    if (parseFloat(cs.fontSize) < SMALLEST) return false;
    if (!ink || cs.textShadow !== 'none' || parseFloat(cs.webkitTextStrokeWidth) > 0) return true;
    if (ink[3] < FAINTEST) return cs.webkitBackgroundClip === 'text';
    const paper = paperOf(el);
    return !paper || ink.slice(0, 3).some((c, i) => Math.abs(c - paper[i]) > ALIKE) || painted(el);
  }
  // The colour behind an element's text, as its ancestors paint it; null where that can't be told.
  function paperOf(el) {
    if (!el) return window === window.parent && !/dark/.test(getComputedStyle(document.documentElement).colorScheme) ? [255, 255, 255, 1] : null;
    let known = papers.get(el);
    if (known !== undefined) return known;
    const cs = getComputedStyle(el), own = rgba(cs.backgroundColor);
    known = cs.backgroundImage !== 'none' || !own ? null : own[3] > 0.9 ? own : own[3] > FAINTEST ? null : paperOf(parentOf(el));
    papers.set(el, known);
    return known;
  }
  // Whether something else than its ancestors paints behind an element, such as a picture or a coloured box laid under it.
  function painted(el) {
    const r = el.getBoundingClientRect();
    return document.elementsFromPoint((r.left + r.right) / 2, (r.top + r.bottom) / 2).some((e) => {
      const paints = (cs) => { const own = rgba(cs.backgroundColor); return cs.backgroundImage !== 'none' || !own || own[3] > FAINTEST; };
      if (['::before', '::after'].some((p) => { const cs = getComputedStyle(e, p); return cs.content !== 'none' && paints(cs); })) return true;
      return !within(e, el) && (/^(IMG|CANVAS|VIDEO|IFRAME|SVG)$/.test(tagOf(e)) || paints(getComputedStyle(e)));
    });
  }
  // Cut away by a clip between an element and what is seen in its place.
  function clipped(el, found) {
    for (let e = el; e && e !== found; e = parentOf(e)) { const cs = getComputedStyle(e); if (cs.clipPath !== 'none' || cs.clip !== 'auto') return true; }
    return false;
  }

  // ---- names -------------------------------------------------------------------------------------------------
  function content(n, budget = { left: 400, of: n }) {
    if (budget.left <= 0) return '';
    if (n.nodeType === 3) { if (!n.data.trim()) return n.data; const el = parentOf(n); if (el && !legible(el)) return ''; budget.left -= n.data.length; return n.data.slice(0, 400); }
    if (n.nodeType !== 1) return '';
    const tag = tagOf(n);
    if (SKIP.has(tag) && tag !== 'TITLE' || n.getAttribute('aria-hidden') === 'true') return '';
    if (tag === 'BR') return ' ';
    if (tag === 'SELECT' || tag === 'TEXTAREA' || tag === 'CANVAS') return '';
    if (tag === 'INPUT') return /^(button|submit|reset)$/.test(n.type) ? n.value : '';
    if (!n.checkVisibility({ visibilityProperty: true })) return '';
    const label = attr(n, 'aria-label');
    if (label) return ' ' + label + ' ';
    if (tag === 'IMG') return ' ' + attr(n, 'alt') + ' ';
    if (tag === 'SVG') return ' ' + svgName(n) + ' ';
    const cs = getComputedStyle(n);
    if (n !== budget.of && cs.opacity < FAINTEST) return '';
    let out = '';
    for (const c of childrenOf(n)) out += content(c, budget);
    return cs.display.startsWith('inline') && tag !== 'TD' ? out : ' ' + out + ' ';
  }
  function svgName(svg) {
    const title = [...svg.children].find((c) => c.tagName === 'title');
    return attr(svg, 'aria-label') || (title ? norm(title.textContent) : '') || norm([...svg.querySelectorAll('text')].map((t) => t.textContent).join(' '));
  }
  function idTexts(el, name) {
    const root = el.getRootNode();
    return norm(attr(el, name).split(' ').filter(Boolean).map((id) => { const e = root.getElementById(id); return e ? attr(e, 'aria-label') || norm(e.textContent) : ''; }).join(' '));
  }
  function iconHint(el) {
    for (const e of [el, ...el.querySelectorAll('i,span,svg,use,img')].slice(0, 6)) {
      const href = e.tagName === 'use' ? (e.getAttribute('href') || e.getAttribute('xlink:href') || '').split('#')[1] : '';
      for (const token of [e.getAttribute('data-icon'), e.getAttribute('data-lucide'), href, ...e.classList]) {
        const m = /^(?:icon|fa|fas|glyphicon|bi|mdi|lucide|ui-icon|feather|ti)-(?!icon$|only$|lg$|fw$|\d)([a-z][a-z0-9-]*)$/i.exec(token || '');
        if (m) return m[1].replace(/-/g, ' ');
        if (token && (token === href || token === e.getAttribute('data-icon') || token === e.getAttribute('data-lucide'))) return token.replace(/[-_]/g, ' ');
      }
    }
    return '';
  }
  // Last resort for a thing without name, icon or colour: the author's word for it (class="trash").
  function classWord(el) {
    const token = [...el.classList].find((c) => /^[a-z]{2,}(-[a-z]+){0,3}$/i.test(c) && !/^(btn|button|icon|col|row|item|link|clickable|active|hover|ui-(widget|state|corner|button|icon)\b.*|ui-draggable|ui-sortable)/i.test(c));
    const state = token && [...el.classList].find((c) => c !== token && /^(active|clicked|selected)$/i.test(c)); // a star given
    return token ? norm(token.replace(/^ui-/, '').replace(/-/g, ' ').toLowerCase() + ' ' + (state || '')) : '';
  }
  function colour(css) {
    const m = /rgba?\(([\d.]+)[, ]+([\d.]+)[, ]+([\d.]+)(?:[,/ ]+([\d.]+%?))?/.exec(css || '');
    if (!m || (m[4] !== undefined && parseFloat(m[4]) < 0.1)) return '';
    const [r, g, b] = [m[1] / 255, m[2] / 255, m[3] / 255];
    const max = Math.max(r, g, b), min = Math.min(r, g, b), light = (max + min) / 2, d = max - min;
    if (light < 0.1) return 'black';
    if (light > 0.95) return 'white';
    if (d < 0.12) return light < 0.2 ? 'black' : light > 0.9 ? 'white' : 'grey';
    const hue = 60 * (max === r ? ((g - b) / d + 6) % 6 : max === g ? (b - r) / d + 2 : (r - g) / d + 4);
    if (hue < 15 || hue >= 345) return light > 0.75 ? 'pink' : 'red';
    if (hue < 45) return light < 0.35 ? 'brown' : 'orange';
    if (hue < 70) return light < 0.3 ? 'olive' : 'yellow';
    if (hue < 165) return 'green';
    if (hue < 195) return light < 0.35 ? 'teal' : 'cyan';
    if (hue < 255) return 'blue';
    return hue < 295 ? 'purple' : light > 0.3 && hue >= 305 || light > 0.6 ? 'pink' : 'purple';
  }
  function shapeName(el) {
    const cs = getComputedStyle(el), r = el.getBoundingClientRect();
    const tag = el.tagName.toLowerCase();
    const filled = cs.fill === 'none' ? '' : colour(cs.fill);
    const square = Math.abs(r.width - r.height) <= 1;
    const points = tag === 'polygon' ? attr(el, 'points').split(/[\s,]+/).length >> 1 : 0;
    const shape = { circle: 'circle', ellipse: square ? 'circle' : 'ellipse', rect: square ? 'square' : 'rectangle', path: 'shape', line: 'line', polyline: 'line',
      polygon: { 3: 'triangle', 4: 'quadrangle', 5: 'pentagon', 6: 'hexagon' }[points] || 'polygon' }[tag];
    return norm((filled || colour(cs.stroke)) + ' ' + shape);
  }
  function boxName(el) {
    const cs = getComputedStyle(el), r = el.getBoundingClientRect();
    const word = colour(cs.backgroundColor);
    const [, drawn] = /^url\("([^"]+)/.exec(cs.content) || []; // the stylesheet's picture in the element's place
    if (!word || cs.backgroundImage !== 'none') return classWord(el) || (drawn ? fileName(drawn) : cs.backgroundImage !== 'none' ? 'picture' : '');
    const round = parseFloat(cs.borderTopLeftRadius) >= (cs.borderTopLeftRadius.endsWith('%') ? 50 : Math.min(r.width, r.height) / 2 - 0.5);
    return word + (round && Math.abs(r.width - r.height) <= 1 ? ' circle' : ' box');
  }
  function imageName(el) {
    const given = attr(el, 'aria-label') || idTexts(el, 'aria-labelledby') || attr(el, 'alt') || attr(el, 'title');
    if (given) return given;
    return fileName(el.getAttribute('src') || '');
  }
  function fileName(src) {
    const file = src.startsWith('data:') ? '' : src.split(/[?#]/)[0].split('/').pop().replace(/\.[a-z0-9]+$/i, '');
    return /^[a-z][a-z _-]{2,}$/i.test(file) ? norm(file.replace(/[-_]/g, ' ')) : 'picture';
  }
  function nameOf(el, role) {
    const tag = tagOf(el);
    const aria = idTexts(el, 'aria-labelledby') || attr(el, 'aria-label');
    if (aria) return aria;
    if (tag === 'INPUT' && /^(submit|reset|button|image)$/.test(el.type))
      return norm(el.value) || attr(el, 'alt') || attr(el, 'title') || { submit: 'Submit', reset: 'Reset', image: 'picture' }[el.type] || '';
    if (el.labels && el.labels.length && FIELDS.has(role)) {
      const label = norm([...el.labels].map((l) => content(l)).join(' '));
      if (label) return label;
    }
    if (tag === 'IMG') return imageName(el);
    if (!FIELDS.has(role) || (!/^(INPUT|SELECT|TEXTAREA)$/.test(tag) && /^(checkbox|radio|switch)$/.test(role))) {
      const own = norm(content(el));
      if (own) return own;
    }
    return attr(el, 'title') || attr(el, 'placeholder') || attr(el, 'aria-placeholder') || (FIELDS.has(role) ? '' : iconOf(el));
  }
  function iconOf(el) {
    const hint = iconHint(el);
    if (hint) return hint;
    const img = el.querySelector('img');
    if (img) return imageName(img);
    const shapes = [...el.querySelectorAll('circle,ellipse,rect,polygon,path')];
    return shapes.length === 1 ? shapeName(shapes[0]) : SHAPES.has(el.tagName) ? shapeName(el) : boxName(el) || (shapes.length ? 'icon' : '');
  }

  // ---- roles, values, states -------------------------------------------------------------------------------------
  function roleOf(el, tag) {
    const given = el.hasAttribute('role') ? attr(el, 'role').split(' ')[0] : '';
    if (WIDGETS.has(given) && !(given === 'listbox' && tag !== 'SELECT')) return given;
    switch (tag) {
      case 'A': return el.hasAttribute('href') ? 'link' : '';
      case 'BUTTON': return 'button';
      case 'SUMMARY': return 'button';
      case 'SELECT': return el.multiple || el.size > 1 ? 'listbox' : 'combobox';
      case 'TEXTAREA': return 'textbox';
      case 'CANVAS': return 'canvas';
      case 'IMG': return 'img';
      case 'VIDEO': return 'video';
      case 'INPUT':
        switch (el.type) {
          case 'hidden': return '';
          case 'button': case 'submit': case 'reset': case 'image': return 'button';
          case 'checkbox': case 'radio': case 'file': return el.type;
          case 'range': return 'slider';
          case 'number': return 'spinbutton';
          case 'search': return 'searchbox';
          default: return el.list ? 'combobox' : 'textbox';
        }
    }
    return el.isContentEditable && !(el.parentElement && el.parentElement.isContentEditable) ? 'textbox' : '';
  }
  function valueOf(el, tag, role, name) {
    if (tag === 'SELECT') return [...el.selectedOptions].map((o) => norm(o.label)).join(', ');
    if (tag === 'INPUT') {
      if (el.type === 'password') return '\u2022'.repeat(el.value.length);
      if (el.type === 'file') return [...el.files].map((f) => f.name).join(', ');
      return FIELDS.has(role) && !/^(checkbox|radio)$/.test(el.type) ? el.value : null;
    }
    if (tag === 'TEXTAREA') return el.value;
    if (role === 'slider' || role === 'spinbutton') return el.getAttribute('aria-valuetext') || el.getAttribute('aria-valuenow');
    if (role === 'textbox' || role === 'searchbox' || role === 'combobox') { const v = norm(content(el)); return v === name ? null : v; }
    return null;
  }
  function statesOf(el, tag) {
    const is = (name) => el.getAttribute('aria-' + name);
    const out = [];
    const checked = el.indeterminate ? 'mixed' : /^(checkbox|radio)$/.test(el.type) && tag === 'INPUT' ? String(el.checked) : is('checked');
    if (checked === 'true') out.push('checked'); else if (checked === 'mixed') out.push('mixed');
    if (disabled(el)) out.push('disabled');
    if (is('expanded') === 'true' || (tag === 'SUMMARY' && el.parentElement.open)) out.push('expanded');
    if (is('selected') === 'true') out.push('selected');
    if (is('pressed') === 'true') out.push('pressed');
    if (is('current') && is('current') !== 'false') out.push('current');
    if ((el.readOnly && /^(INPUT|TEXTAREA)$/.test(tag) && !/^(checkbox|radio|file|range|color|button|submit|reset|image)$/.test(el.type)) || is('readonly') === 'true') out.push('readonly');
    if (el.required || is('required') === 'true') out.push('required');
    if (is('invalid') === 'true') out.push('invalid');
    return out;
  }
  // The button that Enter in a field presses, by name: its form's first. Null where there is none, but a script may hear the key.
  function enters(el, tag) {
    if (tag !== 'INPUT') return tag === 'SELECT' || tag === 'TEXTAREA' || el.isContentEditable ? '' : null;
    if (!el.form) return null;
    if (!defaults.has(el.form)) {
      const first = [...el.getRootNode().querySelectorAll('button,input')].find((b) => b.form === el.form && /^(submit|image)$/.test(b.type));
      defaults.set(el.form, first ? nameOf(first, 'button') : null);
    }
    return defaults.get(el.form);
  }
  // Key combinations that press an element wherever the focus is: its own, and its label's.
  const keysOf = (el) => disabled(el) ? [] : [el, ...(el.labels || [])].flatMap((e) => [...attr(e, 'accesskey').split(' ').filter(Boolean).map((key) => 'Alt+' + key), ...attr(e, 'aria-keyshortcuts').split(' ').filter(Boolean)]);
  const KEYED = '[accesskey],[aria-keyshortcuts]';
  // All that have such keys, seen or not, in open shadow roots too.
  function keyed(root) {
    const found = [...root.querySelectorAll(KEYED)].map((el) => el.tagName === 'LABEL' && el.control || el).filter((el) => !disabled(el));
    for (const el of root.querySelectorAll('*')) if (el.shadowRoot) found.push(...keyed(el.shadowRoot));
    return found;
  }
  // What has the focus within this frame, in open shadow roots too; null where it is the page itself.
  function focusOf() {
    let a = document.activeElement;
    while (a && a.shadowRoot && a.shadowRoot.activeElement) a = a.shadowRoot.activeElement;
    return a === bodyOf.call(document) || a === document.documentElement ? null : a;
  }
  // What a list with the focus points at, which Enter then picks.
  const pointedAt = (el) => el.ariaActiveDescendantElement || el.getRootNode().getElementById(el.getAttribute('aria-activedescendant') || '');
  const disabled = (el) => el.matches(':disabled') || !!el.closest('[aria-disabled=true]');
  function clickable(el, tag, cs, ctx, rect) {
    if (tag === 'BODY' || tag === 'HTML' || tag === 'svg' || (tag === 'LABEL' && el.control)) return false;
    const own = el.hasAttribute('onclick') || !!(el.onclick || el.onmousedown || el.onpointerdown || el.ondblclick) || el.getAttribute('draggable') === 'true' ||
      matches(el, '.ui-sortable > *'); // a list that jQuery UI sorts by dragging hears the mouse for its items
    const pointer = cs.cursor === 'pointer' && !ctx.pointer;
    if (!own && !pointer && !heard.has(el)) return false;
    // A container that listens for its children (delegation) is not itself a thing to click.
    const inner = el.querySelectorAll(INTERACTIVE).length;
    if (pointer && !own) return inner < 2;
    if (inner) return false;
    if (!own && el.childElementCount && rect.width * rect.height > innerWidth * innerHeight * 0.5) return false;
    return own || norm(el.textContent).length <= 100;
  }

  // ---- hit testing -----------------------------------------------------------------------------------------------
  function top(x, y) {
    let e = document.elementFromPoint(x, y);
    while (e && e.shadowRoot) { const deeper = e.shadowRoot.elementFromPoint(x, y); if (!deeper || deeper === e) break; e = deeper; }
    return e;
  }
  function owns(el, at, found) {
    if (!found) return false;
    if (within(el, found) || within(at, found) || found === el.ownerSVGElement) return true;
    const label = found.closest && found.closest('label');
    return !!label && label.control === el;
  }
  // The middle first; near the edges for what lies mostly under something else.
  const POINTS = [[0.5, 0.5], [0.25, 0.5], [0.75, 0.5], [0.5, 0.25], [0.5, 0.75], [0.05, 0.5], [0.95, 0.5], [0.5, 0.05], [0.5, 0.95]];
  function hitPoint(el, at, area) {
    const rects = [...at.getClientRects()].slice(0, 3).map(edges);
    if (!rects.length) return null;
    if (rects.length === 1 && at.tagName !== 'AREA') rects[0] = edges(at.getBoundingClientRect());
    for (const r of rects) {
      const e = meet(r, area);
      if (!(e.r > e.l && e.b > e.t)) continue;
      const [w, h] = [e.r - e.l, e.b - e.t];
      for (const [fx, fy] of POINTS) {
        const x = e.l + w * fx, y = e.t + h * fy;
        if (owns(el, at, top(x, y))) return { x, y };
      }
    }
    return null;
  }

  // ---- one reading -----------------------------------------------------------------------------------------------
  function read({ frames, ignore, area, limit }) {
    const view = meet({ l: 0, t: 0, r: innerWidth, b: innerHeight }, area || { l: 0, t: 0, r: innerWidth, b: innerHeight });
    const items = [];
    let hidden = 0, run = null;
    kept = [];
    judged = new WeakMap();
    papers = new WeakMap();
    defaults = new WeakMap();
    const ignored = new Set(ignore ? document.querySelectorAll(ignore) : []);
    const focus = focusOf();
    let focused = -1;

    function flush() {
      const r = run;
      run = null;
      if (!r) return;
      const text = norm(r.text);
      if (!/[\p{L}\p{N}\p{S}\p{P}]/u.test(text)) return;
      if (!r.seen) { hidden += 1; return; }
      const last = items[items.length - 1];
      if (last && last.bare && /^(checkbox|radio|switch)$/.test(last.role) && level(last, r.box) && text.length <= 80) {
        last.name = text; last.bare = false; // a box without a label takes the text to its right
        return;
      }
      items.push({ role: 'text', name: text, ...size(r.box), id: -1 });
    }
    const OFF = { l: 0, t: 0, r: 0, b: 0 };
    const size = (e) => ({ x: e.l, y: e.t, w: e.r - e.l, h: e.b - e.t });
    // A text right under a field without a name, and farther from what comes next, is its name.
    const captions = (text, field, next) => text.role === 'text' && field.bare && /^(textbox|searchbox|spinbutton|combobox|listbox)$/.test(field.role) &&
      text.name.length <= 40 && Math.abs(text.x - field.x) < 12 && Math.abs(text.y - field.y - field.h) <= 4 && text.y - field.y - field.h < next.y - text.y - text.h;
    const level = (item, e) => item.y < e.b && e.t < item.y + item.h && e.l - (item.x + item.w) < 40;

    function addText(node, ctx) {
      if (!node.data.trim()) { if (run) run.text += ' '; return; }
      if (ctx.off) { // its element is off screen: counted, not measured
        if (!run) run = { text: node.data, box: OFF, seen: false };
        return;
      }
      const range = document.createRange();
      range.selectNodeContents(node);
      const rect = range.getBoundingClientRect();
      if (!rect.width || !rect.height || ctx.opacity < FAINTEST || !legible(ctx.el)) return;
      const box = edges(rect), part = meet(box, ctx.clip);
      let seen = shows(part);
      if (seen && ctx.events) {
        const first = range.getClientRects()[0];
        if (first.height < SMALLEST) return; // scaled down
        const line = meet(edges(first), ctx.clip); // behind a modal or another layer: not there
        const [x, y] = shows(line) ? [(line.l + line.r) / 2, (line.t + line.b) / 2] : [(part.l + part.r) / 2, (part.t + part.b) / 2];
        const found = top(x, y);
        seen = !found || within(found, ctx.el) || within(ctx.el, found) || getComputedStyle(found).opacity === '0';
        if (!seen || (found !== ctx.el && within(found, ctx.el) && clipped(ctx.el, found))) return;
      }
      if (!run) run = { text: '', box, seen: false };
      run.text += node.data;
      run.seen = run.seen || seen;
      if (run.box === OFF) run.box = box;
      run.box = { l: Math.min(run.box.l, box.l), t: Math.min(run.box.t, box.t), r: Math.max(run.box.r, box.r), b: Math.max(run.box.b, box.b) };
    }

    function emit(el, at, role, rect, clip, cs, owner) {
      flush();
      const box = edges(rect), part = meet(box, clip);
      if (!shows(part) && !(role === 'img' && part.r > part.l && part.b > part.t)) {
        if (part.r - part.l < 2 && rect.width < 2 || part.b - part.t < 2 && rect.height < 2) return false;
        hidden += 1;
        return false;
      }
      if (cs.pointerEvents !== 'none' && !hitPoint(el, at, part)) return false; // all of it lies under something else
      const tag = tagOf(el);
      const name = nameOf(el, role);
      if (owner && name === owner.name && role !== 'canvas') { // a tab and the link that is all of it: one thing
        kept[owner.id] = owner.role === 'clickable' ? { el, at } : { el: kept[owner.id].el, at };
        if (owner.role === 'clickable') { owner.role = role; owner.states = statesOf(el, tag); }
        if (el === focus) focused = owner.id;
        owner.keys.push(...keysOf(el));
        return owner;
      }
      const item = { role, name: name.slice(0, 300), ...size(part), value: valueOf(el, tag, role, name), states: statesOf(el, tag), keys: keysOf(el), id: kept.length };
      const [field, caption] = items.slice(-2);
      if (caption && captions(caption, field, item)) { items.pop(); field.name = caption.name.replace(/\s*[:*]+$/, ''); field.bare = false; }
      if (FIELDS.has(role)) item.enters = enters(el, tag);
      if (tag === 'SELECT') item.options = [...el.options].filter((o) => !o.disabled && !o.hidden).slice(0, 200).map((o) => norm(o.label));
      if (!name && FIELDS.has(role)) {
        item.bare = true;
        const last = items[items.length - 1];
        const beside = last && last.role === 'text' && last.name.length <= 40 && !/^(checkbox|radio|switch)$/.test(role) &&
          ((last.y < item.y + item.h && item.y < last.y + last.h && last.x < item.x) || (last.y + last.h <= item.y + 4 && item.y - last.y - last.h < 30 && Math.abs(last.x - item.x) < 60));
        if (beside) { items.pop(); item.name = last.name.replace(/\s*[:*]+$/, ''); item.bare = false; }
      }
      if (el === focus) focused = item.id;
      kept.push({ el, at });
      items.push(item);
      return item;
    }

    function walk(node, ctx) {
      if (node.nodeType === 3) { if (!ctx.mute && ctx.drawn) addText(node, ctx); return; }
      if (node.nodeType !== 1) return;
      const el = node, tag = tagOf(el);
      if (SKIP.has(tag) || ignored.has(el) || el.getAttribute('aria-hidden') === 'true' || el.inert) return;
      if (tag === 'BR') { if (run) run.text += ' '; return; }
      const cs = getComputedStyle(el);
      const toggle = tag === 'INPUT' && /^(checkbox|radio|file)$/.test(el.type);
      if (cs.display === 'none' && !(toggle && el.labels.length)) return;
      const parent = el.parentElement;
      if (parent && parent.tagName === 'DETAILS' && !parent.open && tag !== 'SUMMARY') return;
      const rect = el.getBoundingClientRect();
      const drawn = cs.visibility === 'visible';
      const invisible = cs.display === 'none' || cs.opacity === '0' || !drawn || rect.width < 3 || rect.height < 3;
      if (toggle && invisible) { // drawn by its label instead
        const label = [...el.labels].find((l) => { const r = l.getBoundingClientRect(); return r.width > 2 && r.height > 2 && l.checkVisibility({ visibilityProperty: true, opacityProperty: true }); });
        if (label) emit(el, label, roleOf(el, tag), label.getBoundingClientRect(), ctx.clip, getComputedStyle(label));
        else if (drawn && cs.display !== 'none' && rect.width >= 3 && rect.height >= 3) emit(el, el, roleOf(el, tag), rect, ctx.clip, cs); // a clear input over a drawn one
        return;
      }
      if (cs.opacity === '0') return;

      const inline = cs.display.startsWith('inline') || cs.display === 'contents';
      if (!inline) flush();
      const fixed = cs.position === 'fixed';
      const out = fixed || cs.position === 'absolute';
      const clip = fixed ? view : out ? ctx.anchored : ctx.clip;
      const scrolls = !inline && (cs.overflowX !== 'visible' || cs.overflowY !== 'visible') && tag !== 'BODY' && tag !== 'HTML';
      if (scrolls && (rect.width < 2 || rect.height < 2)) return; // for screen readers, or folded away
      const inside = scrolls ? meet(clip, edges(rect)) : clip;
      const next = { el, clip: inside, anchored: cs.position === 'static' && !fixed ? ctx.anchored : inside, mute: ctx.mute, drawn, opacity: ctx.opacity * cs.opacity, events: cs.pointerEvents !== 'none',
        pointer: cs.cursor === 'pointer', owner: ctx.owner };

      if (tag === 'IFRAME' || tag === 'FRAME') {
        flush();
        const part = meet(edges(rect), clip);
        if (!drawn || !shows(part)) { hidden += rect.width > 2 && drawn ? 1 : 0; return; }
        const index = frames.indexOf(el);
        if (index >= 0 && hitPoint(el, el, part)) items.push({ frame: index, ...inner(el, rect), area: part });
        return;
      }
      if (el.shadowRoot && !observedRoots.has(el.shadowRoot)) { observer.observe(el.shadowRoot, WATCH); observedRoots.add(el.shadowRoot); }
      next.off = items.length >= limit || (!ctx.mute && !inline && !shows(meet(edges(rect), view)) && rect.width > 1 && rect.height > 1);
      if (next.off || ctx.off && !shows(meet(edges(rect), view))) { // off screen: only counted; what it holds may yet be placed on screen
        next.off = true;
        if (drawn && (roleOf(el, tag) || (cs.cursor === 'pointer' && !ctx.pointer) || heard.has(el) || tag === 'SVG')) {
          flush();
          hidden += 1;
          if (tag === 'SVG' || tag === 'SELECT') return;
          next.mute = true;
        }
      } else if (drawn && rect.width && rect.height) {
        if (tag === 'SVG' && svg(el, rect, clip, cs, ctx)) return;
        const role = roleOf(el, tag);
        if (role) {
          const decorative = role === 'img' && (ctx.mute || (el.getAttribute('alt') === '' && !clickable(el, tag, cs, ctx, rect)) || rect.width < 8 || rect.height < 8);
          if (!decorative) {
            if (role === 'combobox' && tag !== 'INPUT' && tag !== 'SELECT' && el.querySelector('input')) { descend(el, next); return; }
            next.owner = emit(el, el, role, rect, clip, cs, ctx.owner) || ctx.owner;
          }
          if (role === 'canvas' || role === 'video' || tag === 'SELECT' || tag === 'INPUT' || tag === 'TEXTAREA') return;
          next.mute = true;
          next.pointer = true;
          descend(el, next);
          return;
        }
        if (clickable(el, tag, cs, ctx, rect)) {
          next.owner = emit(el, el, 'clickable', rect, clip, cs, ctx.owner) || ctx.owner;
          next.mute = true;
        } else if (!ctx.mute && (/^H[1-6]$/.test(tag) || el.getAttribute('role') === 'heading') && !el.querySelector(INTERACTIVE)) {
          const part = meet(edges(rect), clip), name = norm(content(el));
          if (name) {
            if (!shows(part)) hidden += 1;
            else if (cs.pointerEvents === 'none' || !top((part.l + part.r) / 2, (part.t + part.b) / 2) || covers(el, part)) items.push({ role: 'heading', name, ...size(part), id: -1 });
          }
          next.mute = true;
        } else if (tag === 'PROGRESS' || tag === 'METER') {
          flush();
          if (shows(meet(edges(rect), clip))) items.push({ role: 'progressbar', name: nameOf(el, 'slider'), value: el.position === -1 ? null : String(el.value), ...size(edges(rect)), id: -1 });
          return;
        } else if (tag === 'LABEL' && el.control && named(el)) next.mute = true;
        else if (attr(el, 'role') === 'img' && attr(el, 'aria-label')) { emit(el, el, 'img', rect, clip, cs); return; }
      }
      descend(el, next);
      if (!inline) flush();
    }
    const covers = (el, part) => { const f = top((part.l + part.r) / 2, (part.t + part.b) / 2); return within(f, el) || within(el, f); };
    // The label's text is shown as its field's name, unless the field has another.
    const named = (label) => { const f = label.control; const role = roleOf(f, tagOf(f)); return FIELDS.has(role) && !idTexts(f, 'aria-labelledby') && !attr(f, 'aria-label'); };
    function descend(el, ctx) {
      for (const child of childrenOf(el)) walk(child, ctx);
    }
    function inner(el, rect) {
      const cs = getComputedStyle(el);
      return { x: rect.left + parseFloat(cs.borderLeftWidth) + parseFloat(cs.paddingLeft), y: rect.top + parseFloat(cs.borderTopWidth) + parseFloat(cs.paddingTop) };
    }
    // An inline picture: one named thing, an icon of what holds it, or its shapes one by one. True when dealt with.
    function svg(el, rect, clip, cs, ctx) {
      if (ctx.mute) { return ![...el.querySelectorAll('*')].some((s) => heard.has(s) || s.onclick); }
      const title = [...el.children].find((c) => c.tagName === 'title');
      const name = attr(el, 'aria-label') || (title && norm(title.textContent)) || '';
      const shapes = [...el.querySelectorAll('circle,ellipse,rect,polygon,path,line,polyline')];
      const live = (s) => heard.has(s) || !!s.onclick || s.hasAttribute('onclick') || (getComputedStyle(s).cursor === 'pointer' && cs.cursor !== 'pointer');
      const any = shapes.some(live) || [...el.querySelectorAll('text,g')].some(live);
      if (!any && (heard.has(el) || el.onclick || name || (cs.cursor === 'pointer' && !ctx.pointer))) {
        const hint = name || svgName(el) || iconHint(el) || (shapes.length === 1 ? shapeName(shapes[0]) : 'icon');
        emit2(el, 'img', hint, rect, clip, cs);
        return true;
      }
      if (!any && rect.width <= 40 && rect.height <= 40) { // a small one without a click: an ornament, unless it is one plain shape
        if (shapes.length === 1 && shapes[0].tagName !== 'path') emit2(shapes[0], 'img', shapeName(shapes[0]), shapes[0].getBoundingClientRect(), clip, cs);
        return true;
      }
      const crowd = shapes.length > 40;
      for (const s of el.querySelectorAll('circle,ellipse,rect,polygon,path,line,polyline,text')) {
        const r = s.getBoundingClientRect(), style = getComputedStyle(s);
        if (style.display === 'none' || style.visibility !== 'visible' || style.opacity === '0' || (!r.width && !r.height)) continue;
        const words = s.tagName === 'text' ? norm(s.textContent) : '';
        if (words && !live(s) && !(s.parentElement.tagName === 'g' && live(s.parentElement))) {
          flush();
          if (shows(meet(edges(r), clip))) items.push({ role: 'text', name: words, ...size(edges(r)), id: -1 }); else hidden += 1;
        } else if (words) emit2(s, 'img', norm((colour(style.fill) === 'black' ? '' : colour(style.fill)) + ' ' + words), r, clip, style);
        else if (s.tagName !== 'text' && (live(s) || (!crowd && (style.fill !== 'none' || style.stroke !== 'none'))))
          emit2(s, 'img', attr(s, 'aria-label') || shapeName(s), r, clip, style);
      }
      return true;
    }
    function emit2(el, role, name, rect, clip, cs) {
      const item = emit(el, el, role, rect, clip, cs);
      if (item && name) item.name = name;
    }

    const body = bodyOf.call(document);
    if (body) walk(body, { el: body, clip: view, anchored: view, mute: false, drawn: true, opacity: 1, events: true, pointer: false, owner: null });
    flush();
    // What keys or the mouse reach and is not listed: out of sight, hidden from readers, or beyond the limit.
    const listed = new Set(kept.map(({ el }) => el)), unlisted = [];
    const beyond = (el, ...also) => {
      const tag = tagOf(el), role = roleOf(el, tag) || 'clickable', said = FIELDS.has(role) || el.hasAttribute('aria-label') ? '' : norm(el.textContent); // all of it: nobody sees it anyway
      const name = (said || nameOf(el, role)).slice(0, 300);
      const closed = tag.includes('-') && !el.shadowRoot && !name; // its shadow root may be closed, and hold what has the focus
      unlisted.push({ role: closed ? 'unknown' : role, name, value: valueOf(el, tag, role, name), states: [...statesOf(el, tag), ...also], keys: keysOf(el),
        enters: FIELDS.has(role) ? enters(el, tag) : null, ...size(edges(el.getBoundingClientRect())), id: -1 });
    };
    const deeper = focus ? frames.indexOf(focus) : -1;
    if (focus && deeper < 0 && focused < 0) beyond(focus, 'focused');
    // A frame may have the keys and no element of it the focus: its scripts hear what is typed.
    if (!focus && window !== window.parent) unlisted.push({ role: 'document', name: '', states: ['focused'], keys: [], ...size(OFF), id: -1 });
    const pointed = focus && pointedAt(focus);
    if (pointed) beyond(pointed, 'focused');
    const inView = (el) => { const e = meet(edges(el.getBoundingClientRect()), view); return shows(e) && within(el, top((e.l + e.r) / 2, (e.t + e.b) / 2)); };
    const apart = (el) => { for (let n = el; n; n = parentOf(n)) if (listed.has(n) || ignored.has(n)) return false; return ![...listed].some((n) => within(el, n)); };
    const drawn = [...document.querySelectorAll(INTERACTIVE)].filter((el) => el !== focus && !listed.has(el) && inView(el) && apart(el));
    for (const el of new Set([...keyed(document), ...drawn.slice(0, limit)])) if (!listed.has(el)) beyond(el);
    return { items: items.map(({ bare, ...i }) => i), hidden, focused, unlisted, inner: deeper, version: version(), title: titleOf.call(document), url: location.href,
      state: document.readyState };
  }

  // ---- tables ----------------------------------------------------------------------------------------------------
  // Every table as it would be read by scrolling: caption, heads, rows. What spans several cells stands in each of
  // them; the table's foot (sums, mostly) is no row. Tables in shadow roots are not found.
  function tables() {
    const TABLE = 'table,[role=table],[role=grid],[role=treegrid]', ROW = 'tr,[role=row]', HEAD = 'th,[role=columnheader]';
    const seen = (el) => el.checkVisibility({ visibilityProperty: true });
    const held = (f) => /^(checkbox|radio)$/.test(f.type) ? (f.checked ? 'on' : 'off') : valueOf(f, tagOf(f), roleOf(f, tagOf(f)), '') || '';
    const text = (cell) => norm(content(cell)) || [...cell.querySelectorAll('input,select,textarea')].filter(seen).map(held).join(' ');
    return [...document.querySelectorAll(TABLE)].filter(seen).slice(0, 50).map((table) => {
      const own = (el) => el.parentElement.closest(TABLE) === table;
      const rows = [...table.querySelectorAll(ROW)].filter((r) => own(r) && seen(r) && r.parentElement.tagName !== 'TFOOT').slice(0, 5000)
        .map((r) => [...r.querySelectorAll(HEAD + ',td,[role=cell],[role=gridcell],[role=rowheader]')].filter((c) => own(c) && c.closest(ROW) === r && seen(c)))
        .filter((cells) => cells.length);
      const grid = rows.map(() => []);
      rows.forEach((cells, y) => {
        let x = 0;
        for (const cell of cells) {
          while (grid[y][x] !== undefined) x += 1;
          const said = text(cell), down = Math.min(cell.rowSpan || 1, rows.length - y), across = Math.min(cell.colSpan || 1, 50);
          for (let dy = 0; dy < down; dy += 1) for (let dx = 0; dx < across; dx += 1) grid[y + dy][x + dx] = said;
          x += across;
        }
      });
      let heads = 0; // the lowest of the rows at its top that are heads only says what the columns are
      while (heads < rows.length && rows[heads].every((c) => c.matches(HEAD))) heads += 1;
      const filled = (line) => Array.from(line, (c) => c === undefined ? '' : c);
      return { caption: norm(table.caption ? content(table.caption) : '') || idTexts(table, 'aria-labelledby') || attr(table, 'aria-label'),
        head: heads ? filled(grid[heads - 1]) : [], rows: grid.slice(heads).map(filled) };
    });
  }

  // ---- before acting ---------------------------------------------------------------------------------------------
  function prepare(id) {
    const { el, at } = kept[id] || {};
    if (!el || !el.isConnected) return { error: 'is gone' };
    const rect = at.getBoundingClientRect();
    if (!at.checkVisibility({ visibilityProperty: true }) || (!rect.width && !rect.height)) return { error: 'is no longer visible' };
    if (disabled(el)) return { error: 'is disabled' };
    const all = { l: 0, t: 0, r: innerWidth, b: innerHeight };
    const whole = edges(rect), part = meet(whole, all);
    let point = part.r - part.l >= Math.min(whole.r - whole.l, 8) && part.b - part.t >= Math.min(whole.b - whole.t, 8) ? hitPoint(el, at, all) : null;
    if (!point) { at.scrollIntoView({ block: 'center', inline: 'center', behavior: 'instant' }); point = hitPoint(el, at, all); }
    if (point) return point;
    const r = at.getBoundingClientRect();
    const found = top((r.left + r.right) / 2, (r.top + r.bottom) / 2);
    if (!found) return { error: 'is off screen and cannot be scrolled to' };
    if (getComputedStyle(at).pointerEvents === 'none') return { x: (r.left + r.right) / 2, y: (r.top + r.bottom) / 2 };
    const name = norm(content(found)).slice(0, 60) || iconOf(found) || found.tagName.toLowerCase();
    return { error: `is covered by ${JSON.stringify(name)}` };
  }
  const offset = (el) => {
    el.scrollIntoView({ block: 'nearest', inline: 'nearest', behavior: 'instant' });
    const r = el.getBoundingClientRect(), cs = getComputedStyle(el);
    return { x: r.left + parseFloat(cs.borderLeftWidth) + parseFloat(cs.paddingLeft), y: r.top + parseFloat(cs.borderTopWidth) + parseFloat(cs.paddingTop) };
  };
  const covered = (el, { x, y }) => { const f = top(x, y); return f === el || !f ? '' : norm(content(f)).slice(0, 60) || f.tagName.toLowerCase(); };

  // The options of a native select that these labels mean; else what there is.
  function pick(id, labels) {
    const { el } = kept[id] || {};
    if (!el || el.tagName !== 'SELECT') return null;
    const options = [...el.options];
    const found = labels.map((l) => { const want = norm(l); let i = options.findIndex((o) => norm(o.label) === want); if (i < 0) i = options.findIndex((o) => norm(o.label).toLowerCase() === want.toLowerCase()); return i < 0 ? options.findIndex((o) => o.value === l) : i; });
    const missing = labels.filter((_, i) => found[i] < 0);
    const shut = labels.filter((_, i) => found[i] >= 0 && (options[found[i]].disabled || options[found[i]].parentElement.disabled));
    return { found, missing, shut, labels: options.map((o) => norm(o.label)), multiple: el.multiple };
  }

  // Where a text stands on the page: x and y of its beginning and of its end, for the mouse to drag over; null where
  // it is not, false where it begins on what the mouse would press.
  function span(text) {
    const want = norm(text);
    if (!want) return null;
    const nodes = document.createTreeWalker(bodyOf.call(document), NodeFilter.SHOW_TEXT, (n) =>
      n.parentElement.checkVisibility({ visibilityProperty: true }) && !SKIP.has(tagOf(n.parentElement)) ? 1 : 2);
    let all = '';
    const at = []; // for each character of `all`, where it stands
    for (let n = nodes.nextNode(); n; n = nodes.nextNode()) {
      for (let i = 0; i < n.data.length; i += 1) {
        const c = /\s/.test(n.data[i]) ? ' ' : n.data[i];
        if (c !== ' ' || !all.endsWith(' ')) { all += c; at.push([n, i]); }
      }
      if (!all.endsWith(' ')) { all += ' '; at.push([n, n.data.length]); }
    }
    const from = all.indexOf(want);
    if (from < 0) return null;
    const side = ([node, i]) => { const r = document.createRange(); r.setStart(node, i); r.setEnd(node, Math.min(i + 1, node.data.length)); return r.getClientRects(); };
    const [first] = side(at[from]), last = [...side(at[from + want.length - 1])].pop();
    if (!first || !last) return null;
    const on = at[from][0].parentElement;
    if (!on.isContentEditable && (on.closest('a[href],button,summary,label') || kept.some(({ el }) => within(el, on)))) return false;
    return [first.left, (first.top + first.bottom) / 2, last.right, (last.top + last.bottom) / 2];
  }

  // Scroll what lies at a point, then the page, then the largest scroller on screen. False: nothing moved.
  function scroll({ x, y, dx, dy }) {
    const moved = (el) => { const a = el.scrollLeft, b = el.scrollTop; el.scrollBy({ left: dx, top: dy, behavior: 'instant' }); return el.scrollLeft !== a || el.scrollTop !== b; };
    const scrolls = (el) => { const cs = getComputedStyle(el); return /auto|scroll/.test(cs.overflowX + cs.overflowY) && (el.scrollHeight > el.clientHeight || el.scrollWidth > el.clientWidth); };
    const page = document.scrollingElement || document.documentElement;
    if (x !== null) for (let e = top(x, y); e && e !== page && e !== bodyOf.call(document); e = parentOf(e)) if (scrolls(e) && moved(e)) return true;
    if (moved(page)) return true;
    const others = [...document.querySelectorAll('*')].filter((e) => scrolls(e) && e.checkVisibility()).sort((a, b) => b.clientWidth * b.clientHeight - a.clientWidth * a.clientHeight);
    return others.some(moved);
  }

  // INIT's short transitions run one level of the tree after another: a menu made visible is whole some frames later.
  const unfolding = () => document.getAnimations().some((a) => a instanceof CSSTransition && a.playState === 'running');

  // Nothing has changed for a frame; false when `limit` ms passed first. (Taking the screenshot is another
  // frame, and whoever looks asks afterwards whether anything changed meanwhile.)
  const quiet = (limit) => new Promise((done) => {
    const start = performance.now();
    let seen = version();
    const next = () => { let once = false; const go = () => { if (!once) { once = true; tick(); } }; requestAnimationFrame(go); setTimeout(go, 50); };
    const tick = () => {
      const now = version(), calm = now === seen && !unfolding();
      seen = now;
      if (calm) done(document.readyState !== 'loading'); else if (performance.now() - start > limit) done(false); else next();
    };
    next();
  });

  // Whether keys go to an element now, or to the page itself and so to nothing else.
  const hears = (id) => { const { el } = kept[id] || {}, a = focusOf(); return document.hasFocus() && (!a || within(el, a)); };

  return { read, tables, version, quiet, prepare, hears, offset, covered, pick, span, scroll, element: (id) => (kept[id] || {}).el || null };
}
