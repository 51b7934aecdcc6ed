// One plot of the page: its chart, its buttons, its read-out, its table.

import * as api from "./api.js";
import { Chart, reading } from "./chart.js";
import { button, make, save, say } from "./dom.js";
import { number, time } from "./format.js";
import { look } from "./palette.js";
import { picture } from "./picture.js";
import { append, empty, forget, fromServer, paired, thinned } from "./series.js";

/**
 * @typedef {{title: string | null, variables: string[] | null, x: string | null, y: string | null, scale: string,
 *   window: number | null}} Wanted
 * @typedef {{name: string, label: string, unit: string | null, format: string | null, known: boolean}} Variable
 */

export const WINDOWS = /** @type {[string, number][]} */ ([["10 min", 600], ["1 h", 3600], ["6 h", 21600], ["all", Infinity]]);
const TABLE_ROWS = 200;
//: A server that could not answer is asked again after so many milliseconds.
const RETRY = 1000;

export class Plot {
  /**
   * @param {Wanted} wanted
   * @param {(name: string) => Variable} variable what is known of a variable
   * @param {() => {first: number, now: number}} extent of the session
   * @param {(() => void) | null} onClose for a plot that the user has added
   */
  constructor(wanted, variable, extent, onClose) {
    this.wanted = wanted;
    this.variable = variable;
    this.extent = extent;
    this.names = wanted.x && wanted.y ? [wanted.x, wanted.y] : (wanted.variables ?? []);
    this.isCloud = Boolean(wanted.x && wanted.y);
    this.span = wanted.window ?? Infinity;
    this.following = true;
    /** @type {Map<string, import("./series.js").Data>} */
    this.data = new Map(this.names.map((name) => [name, empty()]));
    this.busy = false;
    /** Whether to ask once more, for something else is wanted by now. */
    this.again = false;
    /**
     * What came while the server was asked: its answer may not have it yet.
     * @type {Record<string, import("./series.js").Received>[]}
     */
    this.meanwhile = [];
    this.stale = true;
    this.loadedAt = 0;
    this.triedAt = -Infinity;
    /** @type {number | null} */
    this.pointed = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.later = undefined;
    this.title = wanted.title ?? (this.isCloud ? `${wanted.y} over ${wanted.x} (x-y)` : this.names.join(", "));
    this.canvas = make("canvas", { tabindex: "0", role: "img", "aria-label": `${this.title}: plot. Keys: plus and minus zoom, arrows move.` });
    this.chart = new Chart(this.canvas, (from, to) => this.zoomTo(from, to), (when) => this.readOut(when));
    this.chart.log = wanted.scale === "log";
    this.windows = WINDOWS.map(([text, span]) => button(text, () => this.show(span), { "aria-pressed": "false" }));
    this.logButton = button("log", () => { this.chart.log = !this.chart.log; this.press(); this.draw(); }, { "aria-pressed": "false" });
    this.tableButton = button("as table", () => this.toggleTable(), { "aria-pressed": "false" });
    this.legend = make("div", { class: "legend" });
    this.table = make("div", { class: "scroll", hidden: true, tabindex: "0" });
    this.root = this.build(onClose);
    this.press();
  }

  /** @param {(() => void) | null} onClose */
  build(onClose) {
    const tools = make("div", { class: "tools", role: "group", "aria-label": `Tools of ${this.title}` });
    tools.append(...this.windows, this.logButton, this.tableButton, button("PNG", () => this.savePicture()), button("CSV", () => this.saveTable()));
    if (onClose) tools.append(button("✕", onClose, { "aria-label": `Close ${this.title}`, title: "close" }));
    return make("article", { class: "card plot" }, make("div", { class: "head" }, make("h2", {}, this.title), tools),
      make("div", { class: "chart" }, this.canvas), this.legend, this.table);
  }

  /**
   * Show the last so many seconds, and follow.
   * @param {number} span
   */
  show(span) {
    this.span = span;
    this.following = true;
    this.stale = true;
    this.press();
    this.refresh().catch(() => {});
  }

  /** @param {number} from @param {number} to */
  zoomTo(from, to) {
    const { now } = this.extent();
    this.following = false;
    this.chart.from = from;
    this.chart.to = to;
    if (from < now && to >= now) {
      this.following = true;
      this.span = now - from;
      this.chart.to = now;
    }
    this.stale = true;
    this.press();
    this.draw();
    clearTimeout(this.later);
    this.later = setTimeout(() => this.refresh().catch(() => {}), 150);
  }

  press() {
    WINDOWS.forEach(([, span], i) => this.windows[i].setAttribute("aria-pressed", String(this.following && span === this.span)));
    this.logButton.setAttribute("aria-pressed", String(this.chart.log));
  }

  /** What is to be seen now. */
  place() {
    const { first, now } = this.extent();
    if (!this.following) return;
    this.chart.to = now;
    this.chart.from = this.span === Infinity ? first : now - this.span;
    if (!(this.chart.to > this.chart.from)) this.chart.from = this.chart.to - 1;
  }

  /**
   * Ask the server for what is seen, as finely as the screen shows it.
   * @returns {Promise<void>}
   */
  async refresh() {
    if (this.busy) {
      this.again = true;
      return;
    }
    this.busy = true;
    this.stale = false;
    this.triedAt = performance.now();
    this.meanwhile = [];
    this.place();
    try {
      const points = Math.min(2000, Math.max(200, Math.round((this.canvas.clientWidth || 600) * 0.75)));
      const margin = (this.chart.to - this.chart.from) * 0.02;
      const all = this.following && this.span === Infinity;
      const options = this.isCloud ? { agg: "mean", points: 2000, since: all ? undefined : this.chart.from } : {
        agg: "minmax", points, since: all ? undefined : this.chart.from - margin,
        until: this.following ? undefined : this.chart.to + margin,
      };
      const known = this.names.filter((name) => this.variable(name).known);
      const answer = known.length ? await api.get(`data?${api.query(known, options)}`) : { series: {} };
      if (this.isCloud) this.pair(answer.series);
      for (const name of this.names) this.data.set(name, fromServer(answer.series[name]));
      for (const series of this.meanwhile) this.add(series);
      this.loadedAt = performance.now();
      this.draw();
    } catch (error) {
      this.stale = true;
      throw error;
    } finally {
      this.busy = false;
      this.meanwhile = [];
    }
    if (this.again) {
      this.again = false;
      await this.refresh();
    }
  }

  /** @param {Record<string, import("./series.js").Received>} series */
  pair(series) {
    const { x, y } = this.wanted;
    this.chart.cloud = paired(series[x ?? ""], series[y ?? ""]);
    this.chart.pick = null;
  }

  /**
   * Add what is new.
   * @param {Record<string, import("./series.js").Received>} series
   */
  take(series) {
    if (this.busy) this.meanwhile.push(series);
    else this.add(series);
    if (this.stale && performance.now() - this.triedAt > RETRY) this.refresh().catch(() => {});
  }

  /** @param {Record<string, import("./series.js").Received>} series */
  add(series) {
    let grown = false;
    for (const name of this.names) {
      const received = series[name];
      const data = this.data.get(name);
      if (!received || !data) continue;
      grown = true;
      append(data, received);
      if (this.following && this.span !== Infinity) forget(data, this.chart.from);
      if (data.t.length > 6000) this.data.set(name, thinned(data, 3000));
    }
    if (this.isCloud && grown && performance.now() - this.loadedAt > 5000) this.stale = true;
  }

  draw() {
    this.place();
    this.chart.lines = this.names.map((name, i) => ({ ...this.variable(name), ...look(i), data: this.data.get(name) ?? empty() }));
    this.chart.redraw();
    if (this.pointed === null) this.readOut(null);
    if (!this.table.hidden) this.fillTable();
  }

  /** @param {number | null} when */
  readOut(when) {
    this.pointed = when;
    const legend = this.legend;
    if (this.isCloud) {
      const { cloud, pick } = this.chart;
      const i = pick ?? (cloud?.x.length ?? 0) - 1;
      const [x, y] = this.names.map((name) => this.variable(name));
      const point = cloud && i >= 0 ? `${measured(cloud.x[i], x)}, ${measured(cloud.y[i], y)}` : "";
      say(legend, pick !== null && cloud ? `${time(cloud.t[pick])}: ${point}` : `${this.across()} · last: ${point || "–"}`);
      return;
    }
    const lines = this.chart.lines;
    while (legend.children.length > lines.length + 1) legend.lastElementChild?.remove();
    while (legend.children.length < lines.length + 1) legend.append(legend.children.length ? entry() : make("time"));
    say(legend.children[0], when === null ? "" : time(when, this.chart.to - this.chart.from < 60));
    lines.forEach((line, i) => {
      const item = legend.children[i + 1];
      swatch(/** @type {HTMLCanvasElement} */ (item.children[0]), line);
      say(item.children[1], when === null ? withUnit(line) : `${line.label} ${reading(line, when)}`);
    });
  }

  /** What an x-y plot shows. */
  across() {
    const [x, y] = this.names.map((name) => withUnit(this.variable(name)));
    return `across ${x}, up ${y}`;
  }

  toggleTable() {
    this.table.hidden = !this.table.hidden;
    this.tableButton.setAttribute("aria-pressed", String(!this.table.hidden));
    if (!this.table.hidden) this.fillTable();
  }

  fillTable() {
    const lines = this.chart.lines;
    const times = [...new Set(lines.flatMap((line) => line.data.t))].filter((t) => t >= this.chart.from && t <= this.chart.to);
    times.sort((a, b) => b - a);
    const head = make("tr", {}, make("th", { scope: "col" }, "time"));
    for (const line of lines) head.append(make("th", { scope: "col", class: "number" }, withUnit(line)));
    const at = lines.map((line) => new Map(line.data.t.map((t, i) => [t, i])));
    const body = make("tbody");
    for (const t of times.slice(0, TABLE_ROWS)) {
      const row = make("tr", {}, make("td", {}, time(t, true)));
      lines.forEach((line, k) => {
        const i = at[k].get(t);
        const low = i === undefined ? null : line.data.lo[i];
        const high = i === undefined ? null : line.data.hi[i];
        const text = i === undefined ? "" : low === high ? number(high, line.format) : `${number(low, line.format)} … ${number(high, line.format)}`;
        row.append(make("td", { class: "number" }, text));
      });
      body.append(row);
    }
    const note = times.length > TABLE_ROWS ? `the latest ${TABLE_ROWS} of ${times.length} rows; all are in the CSV` : "";
    this.table.replaceChildren(make("table", {}, make("thead", {}, head), body), make("p", { class: "quiet" }, note));
  }

  savePicture() {
    const named = this.isCloud ? [{ text: this.across(), color: null, dash: [] }]
      : this.chart.lines.map((line) => ({ text: withUnit(line), color: line.color, dash: line.dash }));
    const paper = picture(this.title, this.chart.canvas, named, this.isCloud ? null : [this.chart.from, this.chart.to]);
    paper.toBlob((blob) => blob && save(blob, `${this.title.replace(/[^\w.-]+/g, "_")}.png`));
  }

  saveTable() {
    const limits = this.isCloud && this.span === Infinity ? {} : { since: this.chart.from, until: this.chart.to };
    make("a", { href: `/api/v1/export.csv?${api.query(this.names, limits)}`, download: "" }).click();
  }
}

/** @param {number} value @param {{unit: string | null}} one */
function measured(value, one) {
  return one.unit ? `${number(value)} ${one.unit}` : number(value);
}

/** @param {{label: string, unit: string | null}} one */
function withUnit(one) {
  return one.unit ? `${one.label} (${one.unit})` : one.label;
}

function entry() {
  return make("span", {}, make("canvas", { width: "52", height: "20", "aria-hidden": "true" }), make("span"));
}

/** @param {HTMLCanvasElement} canvas @param {{color: string, dash: number[]}} line */
function swatch(canvas, line) {
  const key = line.color + line.dash.join();
  if (canvas.dataset.key === key) return;
  canvas.dataset.key = key;
  const pen = canvas.getContext("2d");
  if (!pen) return;
  pen.clearRect(0, 0, 52, 20);
  pen.strokeStyle = line.color;
  pen.lineWidth = 4;
  pen.setLineDash(line.dash.map((d) => 2 * d));
  pen.beginPath();
  pen.moveTo(0, 10);
  pen.lineTo(52, 10);
  pen.stroke();
}
