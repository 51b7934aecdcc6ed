// Datasets: the chosen record as image, line or table, with a slider over the records.

import * as api from "./api.js";
import { button, color, element, make, say } from "./dom.js";
import { number, size, ticks, time } from "./format.js";
import { read } from "./npy.js";
import { MAPS, table } from "./palette.js";

/**
 * @typedef {{n: number, shape: number[], dtype: string, bytes: number, unit: string | null, first: number, last: number}} Info
 * @typedef {import("./npy.js").NdArray} NdArray
 */

const SHOWN = 600;
const TABLE = 50;

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
    /** The time of the record that is shown. */
    this.when = 0;
    this.choice = make("select", { "aria-label": "Dataset" });
    this.choice.addEventListener("change", () => { this.name = this.choice.value; this.follows = true; this.load(); });
    this.slider = make("input", { type: "range", min: "0", class: "slider", "aria-label": "Record" });
    this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
    this.place = make("span", { role: "status" });
    this.view = make("select", { "aria-label": "Shown as" }, ...["image", "line", "table"].map((v) => make("option", {}, v)));
    this.view.addEventListener("change", () => this.draw());
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
    const key = `${this.name}/${this.index}`;
    if (key === this.shown || this.loading || !element("dataset-body").offsetParent) return;
    this.loading = true;
    try {
      if (/^(bool|u?int|float)/.test(info.dtype)) {
        const found = await api.file(`datasets/${encodeURIComponent(this.name)}/${this.index}.npy?size=${SHOWN}`);
        this.array = read(found.bytes);
        this.when = found.t;
        this.plain = null;
      } else {
        this.array = null;
        this.plain = await api.get(`datasets/${encodeURIComponent(this.name)}/${this.index}.json?size=${SHOWN}`);
        this.when = this.plain.t;
      }
      this.shown = key;
      this.draw();
    } catch (error) {
      say(this.text, error instanceof Error ? error.message : "");
    } finally {
      this.loading = false;
    }
    if (`${this.name}/${this.index}` !== this.shown && this.shown === key) this.load();
  }

  draw() {
    const array = this.array;
    const info = this.infos[this.name];
    say(this.text, `${time(this.when)} · ${info.shape.join(" × ") || "one value"} ${info.dtype}, ${size(info.bytes)} in all`);
    if (!array) {
      this.box.replaceChildren(make("pre", {}, JSON.stringify(this.plain?.value ?? null, null, 1).slice(0, 5000)));
      return;
    }
    const flat = array.shape.length < 2;
    if (flat && this.view.value === "image") this.view.value = array.shape.length ? "line" : "table";
    if (!flat && this.view.value === "line" && array.shape[0] * array.shape[1] === 0) this.view.value = "table";
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
    const given = [this.low, this.high].map((one) => parseFloat(one.value));
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
  }

  /** @param {PointerEvent} e @param {HTMLCanvasElement} canvas @param {NdArray} array @param {number} depth */
  point(e, canvas, array, depth) {
    const box = canvas.getBoundingClientRect();
    const [rows, columns] = array.shape;
    const column = Math.min(columns - 1, Math.max(0, Math.floor(((e.clientX - box.left) / box.width) * columns)));
    const row = Math.min(rows - 1, Math.max(0, Math.floor(((e.clientY - box.top) / box.height) * rows)));
    const full = this.infos[this.name].shape;
    const steps = [Math.max(1, Math.ceil(full[0] / SHOWN)), Math.max(1, Math.ceil(full[1] / SHOWN))];
    const unit = this.infos[this.name].unit ?? "";
    say(this.text, `(${column * steps[1]}, ${row * steps[0]}) = ${number(array.data[(row * columns + column) * depth])} ${unit}`);
  }

  /** @param {NdArray} array */
  drawLine(array) {
    const length = array.shape.length > 1 ? array.shape[array.shape.length - 1] : array.data.length;
    const count = Math.min(8, array.data.length / length);
    const canvas = make("canvas", { width: "900", height: "300", role: "img", "aria-label": `${this.name}, record ${this.index + 1}, as line` });
    const pen = canvas.getContext("2d");
    this.box.replaceChildren(canvas);
    if (!pen || !length) return;
    const values = Array.from({ length: length * count }, (_, i) => array.data[i]).filter(Number.isFinite);
    const low = Math.min(...values);
    const high = Math.max(...values, low + 1e-12);
    pen.font = "12px system-ui, sans-serif";
    pen.fillStyle = color("--soft");
    for (const tick of ticks(low, high, 5)) {
      const y = 285 - ((tick - low) / (high - low)) * 270;
      pen.fillText(number(tick), 4, y);
      pen.fillRect(62, y, 838, 0.3);
    }
    pen.strokeStyle = color("--accent");
    pen.lineWidth = 1.5;
    for (let k = 0; k < count; k++) {
      pen.beginPath();
      for (let i = 0; i < length; i++) {
        const v = array.data[k * length + i];
        if (Number.isFinite(v)) pen.lineTo(62 + (i / Math.max(1, length - 1)) * 830, 285 - ((v - low) / (high - low)) * 270);
      }
      pen.stroke();
    }
  }

  /** @param {NdArray} array */
  drawTable(array) {
    const columns = array.shape.length > 1 ? array.shape[array.shape.length - 1] : 1;
    const rows = Math.min(TABLE, Math.ceil(array.data.length / columns));
    const body = make("tbody");
    for (let r = 0; r < rows; r++) {
      const row = make("tr", {}, make("th", { scope: "row" }, String(r)));
      for (let c = 0; c < Math.min(columns, TABLE); c++) row.append(make("td", { class: "number" }, number(array.data[r * columns + c])));
      body.append(row);
    }
    this.box.replaceChildren(make("div", { class: "scroll", tabindex: "0" }, make("table", {}, body)));
    const isCut = rows * columns < array.data.length || columns > TABLE;
    if (isCut) say(this.text, `${this.text.textContent}, the first ${TABLE} rows and columns`);
  }
}
