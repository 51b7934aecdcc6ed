// Datasets: the chosen record as image, line or table, with a slider over the records.

import * as api from "./api.js";
import { button, element, make, say } from "./dom.js";
import { number, size, time, typed } from "./format.js";
import { read } from "./npy.js";
import { drawEnvelope } from "./lines.js";
import { MAPS, table } from "./palette.js";

/**
 * @typedef {{n: number, shape: number[], dtype: string, bytes: number, unit: string | null, first: number, last: number}} Info
 * @typedef {import("./npy.js").NdArray} NdArray
 */

//: Rows and columns of an image, bins of a line, rows and columns of a table; the server makes larger records so small.
const SHOWN = 600;
const TABLE = 50;
/** @type {Record<string, string>} */
const PARTS = { image: `size=${SHOWN}`, line: `size=${SHOWN}&part=minmax`, table: `size=${TABLE}&part=first` };

export class Datasets {
  constructor() {
    /** @type {Record<string, Info>} */
    this.infos = {};
    this.name = "";
    this.index = 0;
    this.follows = true;
    this.shown = "";
    /** @type {NdArray | null} */
    this.array = null;
    /** @type {any} */
    this.plain = null;
    this.loading = false;
    /**
     * The shape of the whole record, of which `array` may be a part.
     * @type {number[]}
     */
    this.shape = [];
    /** The time of the record that is shown. */
    this.when = 0;
    this.choice = make("select", { "aria-label": "Dataset" });
    this.choice.addEventListener("change", () => { this.name = this.choice.value; this.follows = true; this.load(); });
    this.slider = make("input", { type: "range", min: "0", class: "slider", "aria-label": "Record" });
    this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
    this.place = make("span", { role: "status" });
    this.view = make("select", { "aria-label": "Shown as" }, ...["image", "line", "table"].map((v) => make("option", {}, v)));
    this.view.addEventListener("change", () => this.load());
    this.map = make("select", { "aria-label": "Colours" }, ...Object.keys(MAPS).map((m) => make("option", {}, m)));
    this.map.addEventListener("change", () => this.draw());
    this.low = make("input", { size: "6", placeholder: "min", "aria-label": "Smallest value of the colours", inputmode: "decimal" });
    this.high = make("input", { size: "6", placeholder: "max", "aria-label": "Largest value of the colours", inputmode: "decimal" });
    for (const one of [this.low, this.high]) one.addEventListener("change", () => this.draw());
    this.box = make("div", { class: "image" });
    this.text = make("p", { class: "readout", role: "status" });
    this.build();
  }

  build() {
    const tools = make("div", { class: "tools" }, this.choice, button("◀", () => this.go(this.index - 1), { "aria-label": "Earlier record" }),
      this.slider, button("▶", () => this.go(this.index + 1), { "aria-label": "Later record" }), this.place, this.view, this.map, this.low, this.high);
    element("dataset-body").append(tools, this.box, this.text);
  }

  /** @param {Record<string, Info>} infos */
  update(infos) {
    this.infos = infos;
    const names = Object.keys(infos).sort();
    element("datasets").hidden = names.length === 0;
    if (!names.length) return;
    if (names.join("\n") !== [...this.choice.options].map((o) => o.value).join("\n")) {
      this.choice.replaceChildren(...names.map((name) => make("option", { value: name }, name)));
      if (!names.includes(this.name)) this.name = names.find((name) => infos[name].shape.length >= 2) ?? names[0];
      this.choice.value = this.name;
    }
    if (this.follows) this.index = infos[this.name].n - 1;
    this.load();
  }

  /** @param {number} index */
  go(index) {
    const n = this.infos[this.name].n;
    this.index = Math.min(n - 1, Math.max(0, index));
    this.follows = this.index === n - 1;
    this.load();
  }

  async load() {
    const info = this.infos[this.name];
    if (!info) return;
    this.slider.max = String(info.n - 1);
    this.slider.value = String(this.index);
    say(this.place, `${this.index + 1}/${info.n}`);
    this.suit(info);
    const key = this.wanted();
    if (key === this.shown || this.loading || !element("dataset-body").offsetParent) return;
    this.loading = true;
    try {
      if (/^(bool|u?int|float)/.test(info.dtype)) {
        const found = await api.file(`datasets/${encodeURIComponent(this.name)}/${this.index}.npy?${PARTS[this.view.value]}`);
        this.array = read(found.bytes);
        this.when = found.t;
        this.shape = found.shape;
        this.plain = null;
      } else {
        this.array = null;
        this.plain = await api.get(`datasets/${encodeURIComponent(this.name)}/${this.index}.json?size=${SHOWN}&part=first`);
        this.when = this.plain.t;
      }
      this.shown = key;
      this.draw();
    } catch (error) {
      say(this.text, error instanceof Error ? error.message : "");
    } finally {
      this.loading = false;
    }
    if (this.wanted() !== this.shown && this.shown === key) this.load();
  }

  /** What is to be shown. */
  wanted() {
    return `${this.name}/${this.index}/${this.view.value}`;
  }

  /**
   * Show a record as something that it can be.
   * @param {Info} info
   */
  suit(info) {
    const flat = info.shape.length < 2;
    if (flat && this.view.value === "image") this.view.value = info.shape.length ? "line" : "table";
    if (this.view.value === "line" && (!info.shape.length || info.shape.includes(0))) this.view.value = "table";
  }

  draw() {
    const array = this.array;
    const info = this.infos[this.name];
    say(this.text, `${time(this.when)} · ${info.shape.join(" × ") || "one value"} ${info.dtype}, ${size(info.bytes)} in all`);
    if (!array) {
      this.box.replaceChildren(make("pre", {}, JSON.stringify(this.plain?.value ?? null, null, 1).slice(0, 5000)));
      return;
    }
    for (const one of [this.map, this.low, this.high]) one.hidden = this.view.value !== "image";
    if (this.view.value === "image") this.drawImage(array);
    else if (this.view.value === "line") this.drawLine(array);
    else this.drawTable(array);
  }

  /** @param {NdArray} array */
  drawImage(array) {
    const [rows, columns] = array.shape;
    const depth = array.shape.slice(2).reduce((a, b) => a * b, 1);
    let low = Infinity;
    let high = -Infinity;
    for (let i = 0; i < array.data.length; i++) {
      const v = array.data[i];
      if (Number.isFinite(v)) { low = Math.min(low, v); high = Math.max(high, v); }
    }
    const given = [this.low, this.high].map((one) => typed(one.value));
    const bottom = Number.isFinite(given[0]) ? given[0] : low;
    const top = Number.isFinite(given[1]) ? given[1] : high;
    const colors = table(this.map.value);
    const canvas = make("canvas", { width: columns, height: rows, role: "img", "aria-label": `${this.name}, record ${this.index + 1}` });
    const pen = canvas.getContext("2d");
    if (!pen || !rows || !columns) return;
    const pixels = pen.createImageData(columns, rows);
    const rgb = depth === 3;
    for (let i = 0; i < rows * columns; i++) {
      const v = array.data[i * depth];
      const c = Math.min(255, Math.max(0, Math.round(((v - bottom) / (top - bottom || 1)) * 255)));
      for (let k = 0; k < 3; k++) pixels.data[4 * i + k] = rgb ? array.data[i * 3 + k] : colors[3 * (c || 0) + k];
      pixels.data[4 * i + 3] = Number.isFinite(v) ? 255 : 0;
    }
    pen.putImageData(pixels, 0, 0);
    canvas.style.width = `${Math.min(900, Math.max(columns, 320))}px`;
    canvas.addEventListener("pointermove", (e) => this.point(e, canvas, array, depth));
    this.box.replaceChildren(canvas);
    this.low.placeholder = number(low);
    this.high.placeholder = number(high);
    const steps = this.steps();
    if (Math.max(...steps) > 1) this.remark(`shown is one row of ${steps[0]} and one column of ${steps[1]}`);
  }

  /** @param {PointerEvent} e @param {HTMLCanvasElement} canvas @param {NdArray} array @param {number} depth */
  point(e, canvas, array, depth) {
    const box = canvas.getBoundingClientRect();
    const [rows, columns] = array.shape;
    const column = Math.min(columns - 1, Math.max(0, Math.floor(((e.clientX - box.left) / box.width) * columns)));
    const row = Math.min(rows - 1, Math.max(0, Math.floor(((e.clientY - box.top) / box.height) * rows)));
    const steps = this.steps();
    const unit = this.infos[this.name].unit ?? "";
    say(this.text, `(${column * steps[1]}, ${row * steps[0]}) = ${number(array.data[(row * columns + column) * depth])} ${unit}`);
  }

  /** How many rows and columns of the record there are for one of the image. */
  steps() {
    return [0, 1].map((axis) => Math.max(1, Math.ceil((this.shape[axis] ?? 0) / SHOWN)));
  }

  /** @param {string} text what else to know of the record as it is shown */
  remark(text) {
    say(this.text, `${this.text.textContent}, ${text}`);
  }

  /** @param {NdArray} array the smallest and largest value of each bin, of shape (lines, bins, 2) */
  drawLine(array) {
    const [count, bins] = array.shape;
    const length = this.shape[this.shape.length - 1];
    const canvas = make("canvas", { width: "900", height: "300", role: "img", "aria-label": `${this.name}, record ${this.index + 1}, as line` });
    this.box.replaceChildren(canvas);
    drawEnvelope(canvas, array, length);
    const lines = this.shape.slice(0, -1).reduce((a, b) => a * b, 1);
    if (lines > count) this.remark(`the first ${count} of ${lines} lines`);
    if (length > bins) this.remark(`with the smallest and largest of each ${Math.ceil(length / bins)} values`);
  }

  /** @param {NdArray} array */
  drawTable(array) {
    const columns = array.shape.length > 1 ? array.shape[array.shape.length - 1] : 1;
    const rows = Math.ceil(array.data.length / columns);
    const body = make("tbody");
    for (let r = 0; r < rows; r++) {
      const row = make("tr", {}, make("th", { scope: "row" }, String(r)));
      for (let c = 0; c < columns; c++) row.append(make("td", { class: "number" }, number(array.data[r * columns + c])));
      body.append(row);
    }
    this.box.replaceChildren(make("div", { class: "scroll", tabindex: "0" }, make("table", {}, body)));
    const all = this.shape.reduce((a, b) => a * b, 1);
    if (all > array.data.length) this.remark(`the first ${TABLE} rows and columns`);
  }
}
