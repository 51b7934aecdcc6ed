// The table of values: name, value, unit, age, ten minutes of history, alarm.

import { color, element, make, say, the } from "./dom.js";
import { age, number } from "./format.js";
import { before } from "./series.js";

/**
 * @typedef {{t: number, value: number | null, unit: string | null, label: string | null, format: string | null, age: number,
 *   stale: boolean, stale_after: number | null, alarm: string | null}} Value
 * @typedef {{row: HTMLTableRowElement, name: HTMLButtonElement, value: HTMLElement, unit: HTMLElement, age: HTMLElement,
 *   spark: HTMLCanvasElement, alarm: HTMLElement, t: number, limit: number | null, state: string | null, decimals: number}} Row
 */

const SPARK_SECONDS = 600;

export class Values {
  /** @param {(name: string) => void} onChoose */
  constructor(onChoose) {
    this.onChoose = onChoose;
    /** @type {Map<string, Row>} */
    this.rows = new Map();
    /** @type {Map<string, {t: number[], v: (number | null)[]}>} */
    this.histories = new Map();
    this.body = element("values-rows");
    this.filter = the("filter", HTMLInputElement);
    this.filter.addEventListener("input", () => this.sieve());
  }

  /** @param {Record<string, Value>} values @param {[string, string][]} nonfinite */
  show(values, nonfinite) {
    const words = new Map(nonfinite);
    element("values-none").hidden = Object.keys(values).length > 0;
    for (const [name, one] of Object.entries(values)) {
      const row = this.rows.get(name) ?? this.add(name);
      say(row.name, one.label ?? name);
      row.name.title = one.label ? `${name}: ${one.label}` : name;
      say(row.value, one.value === null ? (words.get(name) ?? "–") : steady(row, one.value, one.format));
      say(row.unit, one.unit ?? "");
      row.t = one.t;
      row.limit = one.stale_after;
      row.state = one.alarm;
    }
  }

  /**
   * Take over the last values of a message of the live stream; tell whether a variable is new.
   * @param {{values: Record<string, Value>, nonfinite: [string, string][]}} shown
   * @param {any} message
   */
  update(shown, message) {
    let isNew = false;
    const words = new Map(shown.nonfinite);
    for (const [name, value] of Object.entries(message.values)) {
      const one = shown.values[name];
      if (!one) {
        isNew = true;
        continue;
      }
      one.t = message.series[name].t.at(-1);
      one.value = value;
      words.delete(name);
      const word = Object.hasOwn(message.nonfinite, name) ? message.nonfinite[name].at(-1) : undefined;
      if (value === null && word) words.set(name, word[1]);
    }
    shown.nonfinite = [...words];
    return isNew;
  }

  /**
   * Let the ages grow.
   * @param {number} now session time
   * @param {boolean} live
   */
  tick(now, live) {
    for (const row of this.rows.values()) {
      const old = Math.max(0, now - row.t);
      const isStale = live && row.limit !== null && old > row.limit;
      say(row.age, live ? age(old) : "");
      row.row.className = `${isStale ? "stale" : ""} ${row.state ?? ""}`;
      say(row.alarm, isStale ? "no fresh value" : (row.state ?? ""));
    }
  }

  /** @param {string} name @returns {Row} */
  add(name) {
    const choose = make("button", { type: "button", class: "plain" }, name);
    choose.addEventListener("click", () => this.onChoose(name));
    const [value, unit, old, alarm] = ["number value", "unit", "number age", "alarm"].map((kind) => make("td", { class: kind }));
    const spark = make("canvas", { width: "168", height: "44", "aria-hidden": "true" });
    const row = make("tr", { "data-name": name }, make("td", { class: "name" }, choose), value, unit, old, make("td", { class: "spark" }, spark), alarm);
    const made = { row, name: choose, value, unit, age: old, spark, alarm, t: 0, limit: null, state: null, decimals: 0 };
    this.rows.set(name, made);
    this.body.append(row);
    this.sieve();
    return made;
  }

  sieve() {
    const wanted = this.filter.value.trim().toLowerCase();
    for (const [name, row] of this.rows) {
      row.row.hidden = wanted !== "" && !`${name} ${row.name.textContent}`.toLowerCase().includes(wanted);
    }
  }

  /** @param {Set<string>} names in the plot that the user has chosen */
  mark(names) {
    for (const [name, row] of this.rows) {
      row.name.classList.toggle("plotted", names.has(name));
      row.name.setAttribute("aria-pressed", String(names.has(name)));
    }
  }

  /** @param {Record<string, import("./series.js").Received>} series what came for the sparklines @param {boolean} anew */
  remember(series, anew) {
    for (const [name, received] of Object.entries(series)) {
      const known = anew ? undefined : this.histories.get(name);
      const history = known ?? { t: [], v: [] };
      const last = history.t.length ? history.t[history.t.length - 1] : -Infinity;
      received.t.forEach((t, i) => {
        if (t > last && (anew || t - (history.t.at(-1) ?? -Infinity) >= SPARK_SECONDS / 120)) {
          history.t.push(t);
          history.v.push((received.v ?? [])[i]);
        }
      });
      const old = before(history.t, (history.t.at(-1) ?? 0) - SPARK_SECONDS);
      if (old > 100) {
        history.t.splice(0, old);
        history.v.splice(0, old);
      }
      this.histories.set(name, history);
    }
  }

  /** @param {number} now @param {number} started what is before is not shown */
  drawSparks(now, started) {
    const span = Math.max(30, Math.min(SPARK_SECONDS, now - started));
    const ink = color("--accent");
    for (const [name, row] of this.rows) {
      const history = this.histories.get(name);
      if (history && !row.row.hidden && row.spark.offsetParent) draw(row.spark, history, now, span, ink);
    }
  }
}

/**
 * A number that keeps its width while it changes: with as many decimals as it ever had.
 * @param {Row} row @param {number} value @param {string | null} format
 */
function steady(row, value, format) {
  const text = number(value, format);
  if (format || !/^[-−]?\d+(\.\d+)?$/.test(text)) return text;
  row.decimals = Math.min(6, Math.max(row.decimals, text.split(".")[1]?.length ?? 0));
  return value.toFixed(Math.min(row.decimals, Math.max(0, 9 - String(Math.trunc(Math.abs(value))).length)));
}

/** @param {HTMLCanvasElement} canvas @param {{t: number[], v: (number | null)[]}} history @param {number} now
 * @param {number} span @param {string} ink */
function draw(canvas, history, now, span, ink) {
  const from = now - span;
  const seen = history.v.filter((v, i) => v !== null && history.t[i] >= from).map(Number);
  const pen = canvas.getContext("2d");
  if (!pen) return;
  pen.clearRect(0, 0, canvas.width, canvas.height);
  if (!seen.length) return;
  const low = Math.min(...seen);
  const high = Math.max(...seen);
  pen.strokeStyle = ink;
  pen.lineWidth = 2.5;
  pen.beginPath();
  let open = false;
  history.t.forEach((t, i) => {
    const v = history.v[i];
    if (t < from || v === null) {
      open = false;
      return;
    }
    const x = ((t - from) / span) * (canvas.width - 4) + 2;
    const y = high > low ? canvas.height - 5 - ((v - low) / (high - low)) * (canvas.height - 10) : canvas.height / 2;
    if (open) pen.lineTo(x, y);
    else pen.moveTo(x, y);
    open = true;
  });
  pen.stroke();
}
