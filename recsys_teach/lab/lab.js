// The weight lab: two weights, the trained models near them, their scores, and what they recommend.
//
// One implementation for every place. In a notebook with a kernel anywidget calls `render`; in a page without one, a
// script calls `show` with the same facts (`page.facts` in Python). Only training needs the kernel.
// Texts of the data are set as `textContent`, never as HTML: a title that looks like a tag stays a title.

const MAX_WEIGHT = 1000;
const BEYOND = 20; // the specialists' place on the scale of log2 ratios, further out than any other pair
const STOPS = [0, ...Array.from({ length: 11 }, (_, step) => 2 ** (step - 8))]; // equal steps of the logarithm
const SHOWN = 5, TRAIL = 12;
const BLUE = "#0072B2", ORANGE = "#E69F00", GREY = "#7F7F7F", PINK = "#CC79A7"; // Okabe & Ito, as in `plots`

const STYLE = `
.recsys-lab { font: 14px/1.45 system-ui, sans-serif; max-width: 1080px; color: inherit; }
.recsys-lab * { box-sizing: border-box; }
.recsys-lab .lab-controls { display: grid; grid-template-columns: max-content minmax(8em, 22em) 8em; gap: .3em .8em; align-items: center; }
.recsys-lab .lab-buttons { display: flex; flex-wrap: wrap; gap: .4em; margin: .5em 0; align-items: center; }
.recsys-lab .lab-result { display: flex; flex-wrap: wrap; gap: 0 1.5em; align-items: flex-start; }
.recsys-lab .lab-picture { flex: 1 1 380px; min-width: 0; max-width: 620px; }
.recsys-lab .lab-words { flex: 1 1 300px; min-width: 0; overflow-wrap: anywhere; }
.recsys-lab svg { display: block; width: 100%; font: 13px system-ui, sans-serif; }
.recsys-lab svg text { fill: currentColor; }
.recsys-lab button, .recsys-lab select, .recsys-lab input { font: inherit; color: inherit; max-width: 100%; }
.recsys-lab button, .recsys-lab select, .recsys-lab input[type=number] {
  background: transparent; border: 1px solid ${GREY}; border-radius: 4px; padding: .2em .6em; }
.recsys-lab option { color: black; background: white; }
.recsys-lab button:disabled { opacity: .5; }
.recsys-lab :focus-visible { outline: 3px solid ${BLUE}; outline-offset: 2px; }
.recsys-lab input[type=number] { width: 6em; }
.recsys-lab input[type=range] { width: 100%; accent-color: ${BLUE}; }
.recsys-lab table { border-collapse: collapse; margin: .3em 0; }
.recsys-lab th, .recsys-lab td { padding: .1em .6em .1em 0; text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; border: 0; }
.recsys-lab th:first-child { text-align: left; }
.recsys-lab ol { margin: .4em 0; padding-left: 1.6em; }
.recsys-lab .lab-said { min-height: 2.9em; margin: .4em 0; }
.recsys-lab .you, .recsys-lab .your-name { transition: cx .3s, cy .3s, transform .3s; }
.recsys-lab li { transition: transform .3s; }
@media (prefers-reduced-motion: reduce) { .recsys-lab .you, .recsys-lab .your-name, .recsys-lab li { transition: none; } }
@media (max-width: 480px) { .recsys-lab .lab-controls { grid-template-columns: 1fr 6em; } .recsys-lab .lab-controls label { grid-column: 1 / -1; margin-bottom: -.3em; } }
`;

// --- What follows from the weights, without a page ---------------------------------------------------------------

/** Return the place of two weights on the ratio slider: log2 of their ratio, the specialists at its ends. */
export function place([rating, retrieval]) {
  if (rating === 0) return -BEYOND;
  if (retrieval === 0) return BEYOND;
  return Math.min(Math.max(Math.log2(rating) - Math.log2(retrieval), 1 - BEYOND), BEYOND - 1);
}

const equal = (one, two) => Math.abs(one - two) <= 1e-8 + 1e-5 * Math.abs(two);

/** Return whether a model was trained with exactly these weights. */
export const isTrained = (pair, weights) => pair.weights.every((weight, task) => equal(weight, weights[task]));

/** Return the number of the pair with exactly these weights (the last one), else of the one with the nearest ratio. */
export function nearest(pairs, weights) {
  const exact = pairs.findLastIndex((pair) => isTrained(pair, weights));
  if (exact >= 0) return exact;
  const distances = pairs.map((pair) => Math.abs(place(pair.weights) - place(weights)));
  return distances.indexOf(Math.min(...distances));
}

/** Return in words why these weights can't be set, or "" if they can. */
export function refusal([rating, retrieval]) {
  for (const [name, weight] of [["rating", rating], ["retrieval", retrieval]])
    if (!(weight >= 0 && weight <= MAX_WEIGHT))
      return `The ${name} weight is ${Number.isNaN(weight) ? "no number" : weight}: expected a number from 0 to ${MAX_WEIGHT}.`;
  return rating === 0 && retrieval === 0
    ? "Both weights are 0, so there is nothing to learn: give at least one task a weight." : "";
}

/** Return the places that each product of a list has gained since the list before; null if it is new there. */
export const moves = (before, now) =>
  now.map((product, rank) => (!before.length ? 0 : before.includes(product) ? before.indexOf(product) - rank : null));

/** Return a sentence: what a move from one model to another has bought, and what it has cost. */
export function trade(from, to) {
  const changes = [["hit@10", 1, " of hit@10"], ["rmse", -1, " stars of RMSE"]].flatMap(([metric, better, unit]) => {
    const [old, now] = [from.scores[metric], to.scores[metric]];
    if (old === null || now === null) return [];
    const gain = better * (now - old), text = `${Math.abs(gain).toFixed(3)}${unit}`;
    return text.startsWith("0.000") ? [] : [{ text, gain }];
  });
  const move = `From ${from.name} to ${to.name}`;
  const lost = [["hit@10", "it recommends nothing"], ["rmse", "it predicts no stars"]]
    .filter(([metric]) => to.scores[metric] === null).map(([, words]) => words);
  const [bought, cost] = [changes.filter((one) => one.gain > 0), changes.filter((one) => one.gain < 0)]
    .map((some) => some.map((one) => one.text).join(" and "));
  const said = bought && cost ? `bought ${bought}, and cost ${cost}`
    : bought ? `bought ${bought}, and cost nothing` : cost ? `bought nothing, and cost ${cost}` : "changed neither score";
  return `${move}: ${[...(changes.length || !lost.length ? [said] : []), ...lost].join("; ")}.`;
}

/** Return three to six round numbers between two numbers. */
export function ticks(low, high) {
  const rough = (high - low) / 6, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((some) => some * power >= rough);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, number) => (first + number) * step);
}

const number = (value, digits = 3) => (value === null || value === undefined ? "none" : value.toFixed(digits));
const short = (weight) => String(Number(weight.toPrecision(3)));

// --- Elements ----------------------------------------------------------------------------------------------------

const SVG = "http://www.w3.org/2000/svg";

/** Return a new element with these properties (of SVG: attributes) and children; strings become text. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties))
    name.startsWith("aria-") || name === "role" ? element.setAttribute(name, value) : (element[name] = value);
  element.append(...children);
  return element;
}

function draw(tag, attributes = {}, text = "") {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

/** Return a text of the data: right-to-left words in it don't turn around the words beside it. */
const foreign = (text) => make("bdi", { textContent: text });

/** Names of points, each beside its own point, where it covers no other name and no point. */
class Names {
  constructor(width, points) {
    this.width = width;
    this.taken = points.map(([x, y]) => [x - 7, y - 7, x + 7, y + 7]);
  }

  /** Return the place of a text for the point at x, y: its middle, and its baseline. */
  put(x, y, text, distance, { keep = true } = {}) {
    const half = 3.6 * text.length + 2;
    const choices = [[0, -distance - 1], [0, distance + 11], [half + distance, 4], [-half - distance, 4],
      [half + 4, -distance], [-half - 4, -distance], [half + 4, distance + 10], [-half - 4, distance + 10],
      [0, -distance - 18], [0, distance + 28]];
    const costs = choices.map(([right, down]) => {
      const box = [x + right - half, y + down - 12, x + right + half, y + down + 3];
      const outside = Math.max(0, 50 - box[0]) + Math.max(0, box[2] - this.width) + Math.max(0, 2 - box[1]);
      const over = this.taken.reduce((sum, other) => sum
        + Math.max(0, Math.min(box[2], other[2]) - Math.max(box[0], other[0]))
        * Math.max(0, Math.min(box[3], other[3]) - Math.max(box[1], other[1])), 0);
      return 100 * outside + over;
    });
    const [right, down] = choices[costs.indexOf(Math.min(...costs))];
    if (keep) this.taken.push([x + right - half, y + down - 12, x + right + half, y + down + 3]);
    return [x + right, y + down];
  }
}

// --- The lab -----------------------------------------------------------------------------------------------------

/** Show the lab of `facts` in an element; return it. `kernel` has `moved(weights)`, `train(weights)`, `cancel()`. */
export function show(element, facts, kernel = null) {
  return new Lab(element, facts, kernel);
}

class Lab {
  constructor(element, facts, kernel) {
    this.kernel = kernel;
    this.root = make("div", { className: "recsys-lab tex2jax_ignore mathjax_ignore", role: "group", "aria-label": "weight lab" });
    this.root.setAttribute("data-lm-suppress-shortcuts", "true"); // or JupyterLab would take the arrow keys
    this.root.addEventListener("keydown", (event) => event.stopPropagation()); // the classic notebook, too
    this.trail = [];
    this.before = [];
    this.now = [];
    this.said = "";
    this.facts = facts;
    this.shopper = 0;
    this.weights = facts.presets["best of both"];
    this.build();
    element.replaceChildren(this.root);
    this.take(facts);
    new ResizeObserver(() => this.root.isConnected && this.width() !== this.drawn && this.picture()).observe(this.frame);
  }

  /** Take other facts, such as those of a training more. */
  take(facts) {
    this.facts = facts;
    this.order = facts.pairs.map((_, pair) => pair)
      .sort((one, two) => place(facts.pairs[one].weights) - place(facts.pairs[two].weights) || one - two);
    this.ratio.max = this.order.length - 1;
    this.moved();
  }

  build() {
    const weight = (task) => {
      const name = `${task ? "retrieval" : "rating"} weight`;
      const set = (value) => this.move(this.weights.map((old, other) => (other === task ? value : old)));
      const slider = make("input", { type: "range", min: 0, max: STOPS.length - 1, step: 1, "aria-label": `${name}, slider` });
      const box = make("input", { type: "number", min: 0, max: MAX_WEIGHT, step: "any", "aria-label": name });
      slider.addEventListener("input", () => set(STOPS[slider.value]));
      box.addEventListener("change", () => set(box.valueAsNumber));
      return { name, slider, box };
    };
    this.controls = [weight(0), weight(1)];
    this.ratio = make("input", { type: "range", min: 0, step: 1, "aria-label": "ratio" });
    this.ratio.addEventListener("input", () => this.move(this.facts.pairs[this.order[this.ratio.value]].weights));
    this.ratioName = make("span");
    this.presets = Object.keys(this.facts.presets).map((name) => {
      const button = make("button", { type: "button", textContent: name });
      button.addEventListener("click", () => this.move(this.facts.presets[name]));
      return button;
    });
    this.select = make("select", { "aria-label": "shopper" },
      ...this.facts.shoppers.map(({ user }) => make("option", { textContent: user })));
    this.select.addEventListener("change", () => this.lookAt(this.select.selectedIndex));
    this.train = make("button", { type: "button", textContent: "Train exactly these weights", disabled: !this.kernel?.train });
    this.train.addEventListener("click", () => this.kernel.train(this.weights));
    this.cancel = make("button", { type: "button", textContent: "Cancel", disabled: true });
    this.cancel.addEventListener("click", () => this.kernel.cancel());
    this.progress = make("progress", { hidden: true, "aria-label": "epochs" });
    this.status = make("span", { className: "lab-status", role: "status" });
    this.idle = this.kernel?.train ? "" : this.kernel
      ? "This lab has no trainer, so nothing can be trained here." : "Training needs a running notebook.";
    this.status.textContent = this.idle;
    this.frame = make("div", { className: "lab-picture" });
    this.sentence = make("p", { className: "lab-said", "aria-live": "polite" });
    this.row = make("div", { className: "lab-row" });
    this.list = make("div", { className: "lab-list" });
    this.root.append(
      make("style", { textContent: STYLE }),
      make("div", { className: "lab-buttons" }, ...this.presets),
      make("div", { className: "lab-controls" },
        ...this.controls.flatMap(({ name, slider, box }) => [make("label", { textContent: name }), slider, box]),
        make("label", { textContent: "ratio" }), this.ratio, this.ratioName),
      make("div", { className: "lab-buttons" }, this.train, this.cancel, this.progress, this.status),
      this.sentence,
      make("div", { className: "lab-result" }, this.frame,
        make("div", { className: "lab-words" }, this.row, make("label", {}, "shopper ", this.select), this.list)),
    );
  }

  move(weights) {
    const why = refusal(weights);
    this.status.textContent = why ? `Not done: ${why}` : this.idle;
    if (!why) {
      this.weights = weights;
      this.kernel?.moved(weights);
    }
    this.moved();
  }

  lookAt(shopper) {
    this.shopper = shopper;
    this.before = this.now = [];
    this.moved();
  }

  /** Show what follows from the weights, the picture first. */
  moved() {
    const { pairs } = this.facts, last = this.trail.at(-1);
    this.pair = nearest(pairs, this.weights);
    if (last !== this.pair) {
      if (last !== undefined) this.said = trade(pairs[last], pairs[this.pair]);
      this.trail = [...this.trail, this.pair].slice(-TRAIL);
    }
    const now = this.facts.lists[this.pair][this.shopper].slice(0, SHOWN).map(([product]) => product);
    if (now.length && now.join("\n") !== this.now.join("\n")) [this.before, this.now] = [this.now, now];
    this.picture();
    this.setControls();
    this.sentence.textContent = this.said || "Move a weight: this line then says what the move bought, and what it cost.";
    this.showRow();
    this.showList();
  }

  setControls() {
    this.controls.forEach(({ slider, box }, task) => {
      const weight = this.weights[task];
      box.value = short(weight);
      const distances = STOPS.map((stop) => Math.abs(place([stop, 1]) - place([weight, 1])));
      slider.value = distances.indexOf(Math.min(...distances));
      slider.setAttribute("aria-valuetext", short(weight));
    });
    this.ratio.value = this.order.indexOf(this.pair);
    this.ratio.setAttribute("aria-valuetext", this.facts.pairs[this.pair].name);
    this.ratioName.textContent = this.facts.pairs[this.pair].name;
  }

  width() {
    return Math.round(Math.min(620, Math.max(280, this.frame.clientWidth || 540)));
  }

  /** Draw hit@10 against RMSE: floor, ceiling, the trained pairs, the Pareto front, your point and your trail. */
  picture() {
    const { pairs, floor, ceiling } = this.facts, width = this.width(), height = Math.round(140 + 0.4 * width);
    const [left, right, top, bottom] = [52, 14, 22, 44];
    const both = (scores) => scores && scores["hit@10"] !== null && scores.rmse !== null;
    const known = [...pairs.map((pair) => pair.scores), floor, ceiling].filter(both);
    const span = (metric) => {
      const values = known.map((scores) => scores[metric]), low = Math.min(...values), high = Math.max(...values);
      const margin = 0.08 * Math.max(high - low, 1e-6);
      return [low - margin, high + margin];
    };
    const [hits, errors] = [span("hit@10"), span("rmse")];
    const x = (hit) => left + ((hit - hits[0]) / (hits[1] - hits[0])) * (width - left - right);
    const y = (error) => top + ((error - errors[0]) / (errors[1] - errors[0])) * (height - top - bottom);
    const point = (scores) => [x(scores["hit@10"]), y(scores.rmse)];
    const line = (some) => some.map((pair) => point(pairs[pair].scores).map((pixel) => pixel.toFixed(1)).join(",")).join(" ");
    const pair = pairs[this.pair], name = `you: ${pair.name}`;
    const words = [pair.scores["hit@10"] === null ? "no hit@10" : `hit@10 ${number(pair.scores["hit@10"])}`,
      pair.scores.rmse === null ? "no RMSE" : `RMSE ${number(pair.scores.rmse)} stars`].join(", ");
    const shapes = [];
    const write = (right, down, text, more = {}) => shapes.push(draw("text", { x: right, y: down, ...more }, text));

    shapes.push(draw("path", { d: `M${left} ${top}V${height - bottom}H${width - right}`, fill: "none", stroke: "currentColor" }));
    write(width - right, height - 6, "hit@10: right is better →", { "text-anchor": "end" });
    write(4, 13, "↑ RMSE in stars: up is better");
    for (const [range, put] of [[hits, (tick, text) => write(x(tick), height - bottom + 17, text, { "text-anchor": "middle" })],
      [errors, (tick, text) => write(left - 6, y(tick) + 4, text, { "text-anchor": "end" })]]) {
      const marks = ticks(...range), digits = Math.max(0, Math.ceil(-Math.log10(marks[1] - marks[0] || 1) - 1e-9));
      for (const tick of marks) put(tick, tick.toFixed(digits));
    }
    const places = pairs.map((one) => (both(one.scores) ? point(one.scores) : null));
    const marks = [["floor", floor, GREY], ["ceiling", ceiling, ORANGE]].filter(([, scores]) => both(scores));
    const names = new Names(width, [...places.filter(Boolean), ...marks.map(([, scores]) => point(scores))]);
    for (const [label, scores, colour] of marks) {
      const [right, down] = point(scores);
      shapes.push(draw("path", { d: `M${left} ${down}H${width - 14}M${right} ${top}V${height - bottom}`,
        stroke: colour, "stroke-dasharray": "5 5", opacity: 0.7 }));
      shapes.push(draw("rect", { x: right - 6, y: down - 6, width: 12, height: 12, fill: colour,
        ...(label === "ceiling" ? { transform: `rotate(45 ${right} ${down})` } : {}) }));
      const [middle, baseline] = names.put(right, down, label, 10);
      write(middle, baseline, label, { "text-anchor": "middle" });
    }
    const front = pairs.map((_, one) => one).filter((one) => pairs[one].front)
      .sort((one, two) => pairs[one].scores["hit@10"] - pairs[two].scores["hit@10"]);
    shapes.push(draw("polyline", { class: "front", points: line(front), fill: "none", stroke: BLUE, "stroke-width": 2 }));
    shapes.push(draw("polyline", { class: "trail", points: line(this.trail.filter((one) => places[one])), fill: "none",
      stroke: PINK, "stroke-width": 2, "stroke-dasharray": "2 4", "stroke-linecap": "round" }));
    places.forEach((at, one) => at && shapes.push(draw("circle", { cx: at[0].toFixed(1), cy: at[1].toFixed(1), r: 5,
      fill: pairs[one].front ? BLUE : "none", stroke: BLUE, "stroke-width": 2 })));

    // The ring and its name are the same elements after a move, so that the browser animates them.
    if (!this.svg) {
      this.svg = draw("svg", { role: "img" });
      this.still = draw("g");
      this.you = draw("circle", { class: "you", r: 11, fill: "none", stroke: PINK, "stroke-width": 4 });
      this.yourName = draw("text", { class: "your-name", "text-anchor": "middle", "font-weight": "bold" });
      this.svg.append(this.still, this.you, this.yourName);
      this.frame.append(this.svg);
    }
    const at = places[this.pair];
    if (at) {
      if (!this.you.isConnected) this.svg.append(this.you);
      this.you.setAttribute("cx", at[0].toFixed(1));
      this.you.setAttribute("cy", at[1].toFixed(1));
      this.yourName.textContent = name;
    } else {
      this.you.remove();
      this.yourName.textContent = `you, not in the picture: ${pair.name}`;
    }
    const [middle, baseline] = at ? names.put(...at, name, 15) : [width / 2 + 20, top + 16];
    this.yourName.style.transform = `translate(${middle.toFixed(1)}px, ${baseline.toFixed(1)}px)`;
    for (const special of ["rating only", "retrieval only"]) {
      const one = pairs.findIndex((some) => some.name === special);
      if (one < 0 || !places[one] || one === this.pair) continue;
      const [right, down] = names.put(...places[one], special, 8);
      write(right, down, special, { "text-anchor": "middle" });
    }
    this.still.replaceChildren(...shapes);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.setAttribute("aria-label", `${pair.name}: ${words}`);
    this.drawn = width;
  }

  /** Show the model's row of the scoreboard, and its difference to the floor in words and signs. */
  showRow() {
    const { pairs, floor, ceiling } = this.facts, pair = pairs[this.pair];
    const compared = (metric) => {
      if (pair.scores[metric] === null || floor[metric] === null) return "";
      const more = pair.scores[metric] - floor[metric], gain = metric === "rmse" ? -more : more;
      return `${more < 0 ? "-" : "+"}${number(Math.abs(more))} ${gain > 0 ? "better" : gain < 0 ? "worse" : "equal"}`;
    };
    const cells = (kind, texts) => texts.map((text) => make(kind, { textContent: text }));
    const lines = Object.keys(floor).map((metric) => make("tr", {}, make("th", { textContent: metric, scope: "row" }),
      ...cells("td", [number(pair.scores[metric]), number(floor[metric]), compared(metric),
        ...(ceiling ? [number(ceiling[metric])] : [])])));
    const head = make("tr", {}, ...cells("th", ["", "model", "floor", "to the floor", ...(ceiling ? ["ceiling"] : [])]));
    const near = isTrained(pair, this.weights) ? ""
      : ` (the trained pair nearest to ${short(this.weights[0])} : ${short(this.weights[1])})`;
    this.row.dataset.pair = this.pair;
    this.row.replaceChildren(make("b", { textContent: pair.name + near }), make("table", {}, head, ...lines));
  }

  /** Show the shopper's first products, how they moved since the list before, and what the shopper bought. */
  showList() {
    const { shoppers, lists, catalogue, pairs } = this.facts, shopper = shoppers[this.shopper];
    const old = new Map([...this.list.querySelectorAll("li")].map((item) => [item.dataset.product, item.offsetTop]));
    const ranked = lists[this.pair][this.shopper].slice(0, SHOWN);
    const gained = moves(this.before, ranked.map(([product]) => product));
    const items = ranked.map(([product, stars], rank) => {
      const [title, category] = catalogue[product], gain = gained[rank];
      const sign = gain === null ? "new" : gain > 0 ? `▲\u00a0${gain}` : gain < 0 ? `▼\u00a0${-gain}` : "";
      const item = make("li", {}, make("b", {}, foreign(title || product)), " · ", foreign(category),
        stars === null ? "" : ` · ${stars.toFixed(1)} ★`, shopper.later.includes(product) ? " ✓ bought later" : "", " ",
        make("b", { textContent: sign }));
      item.dataset.product = product;
      return item;
    });
    const owned = shopper.bought.flatMap((product, number) => {
      const [title, category] = catalogue[product];
      return [number ? "; " : "", foreign(title || product), ...(category ? [" (", foreign(category), ")"] : [])];
    });
    const { scores } = pairs[this.pair];
    const missing = scores["hit@10"] === null ? "It recommends nothing: it predicts stars only."
      : scores.rmse === null ? "It predicts no stars." : "";
    this.list.replaceChildren(make("p", {}, "For ", foreign(shopper.user), ", who bought: ", ...owned),
      make("ol", {}, ...items), missing);
    for (const item of items) { // from where it was to where it is
      const from = old.get(item.dataset.product);
      if (from === undefined || from === item.offsetTop) continue;
      item.style.transition = "none";
      item.style.transform = `translateY(${from - item.offsetTop}px)`;
      requestAnimationFrame(() => requestAnimationFrame(() => (item.style.transition = item.style.transform = "")));
    }
  }

  /** Show how a training goes: its epoch and text, and whether it still runs. */
  training({ runs, epoch, epochs, text }) {
    this.train.disabled = runs || !this.kernel?.train;
    this.cancel.disabled = !runs;
    this.progress.hidden = !runs;
    this.progress.max = epochs;
    this.progress.value = epoch;
    this.status.textContent = text;
  }
}

/** Show the lab of a notebook with a kernel: anywidget calls this. */
function render({ model, el }) {
  const kernel = {
    moved(weights) {
      model.set("weights", weights);
      model.save_changes();
    },
    cancel: () => model.send({ cancel: true }),
  };
  if (model.get("trains")) kernel.train = (weights) => model.send({ train: weights });
  const lab = show(el, model.get("facts"), kernel);
  if (model.get("training").text) lab.training(model.get("training"));
  const facts = () => lab.take(model.get("facts")), training = () => lab.training(model.get("training"));
  model.on("change:facts", facts);
  model.on("change:training", training);
  return () => {
    model.off("change:facts", facts);
    model.off("change:training", training);
  };
}

export default { render };
