// A chart on a canvas: axes, envelopes, gaps, marks of events, zoom by drag, wheel and keys, a read-out.

import { color } from "./dom.js";
import { number, ticks, time, timeTicks } from "./format.js";
import { decades, place, roomy, value } from "./scale.js";
import { before, range } from "./series.js";

/**
 * @typedef {{name: string, label: string, unit: string | null, format: string | null, color: string, dash: number[],
 *   data: import("./series.js").Data}} Line
 * @typedef {{t: number, kind: string, text: string}} Mark
 * @typedef {{x: number[], y: number[], t: number[]}} Cloud
 * @typedef {import("./scale.js").Scale} Scale
 */

const MARGIN = { left: 62, right: 14, top: 10, bottom: 26 };

export class Chart {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {(from: number, to: number) => void} onZoom
   * @param {(when: number | null) => void} onPoint
   */
  constructor(canvas, onZoom, onPoint) {
    this.canvas = canvas;
    this.onZoom = onZoom;
    this.onPoint = onPoint;
    /** @type {Line[]} */
    this.lines = [];
    /** @type {Mark[]} */
    this.marks = [];
    /** @type {Cloud | null} */
    this.cloud = null;
    this.from = 0;
    this.to = 1;
    this.log = false;
    /** @type {number | null} */
    this.pointer = null;
    /**
     * The point of the cloud that is pointed at.
     * @type {number | null}
     */
    this.pick = null;
    /** @type {number | null} */
    this.dragged = null;
    /** @type {Scale} */
    this.x = { low: 0, high: 1, from: 0, to: 1 };
    /** @type {Scale} */
    this.y = { low: 0, high: 1, from: 1, to: 0 };
    this.asked = 0;
    listen(this);
  }

  /** Draw at the next moment at which the screen changes; many wishes are one drawing. */
  redraw() {
    if (!this.asked) this.asked = requestAnimationFrame(() => { this.asked = 0; this.draw(); });
  }

  draw() {
    const density = window.devicePixelRatio || 1;
    const width = this.canvas.clientWidth;
    const height = this.canvas.clientHeight;
    if (!width || !height) return;
    if (this.canvas.width !== Math.round(width * density) || this.canvas.height !== Math.round(height * density)) {
      this.canvas.width = Math.round(width * density);
      this.canvas.height = Math.round(height * density);
    }
    const pen = this.canvas.getContext("2d");
    if (!pen) return;
    pen.setTransform(density, 0, 0, density, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = "12px system-ui, 'Liberation Sans', 'DejaVu Sans', sans-serif";
    this.x = { low: this.from, high: this.to, from: MARGIN.left, to: width - MARGIN.right };
    this.y = { low: 0, high: 1, from: height - MARGIN.bottom, to: MARGIN.top, log: this.log };
    if (this.cloud) drawCloud(this, pen);
    else drawTimes(this, pen);
  }
}

/** @param {Chart} chart @param {CanvasRenderingContext2D} pen */
function drawTimes(chart, pen) {
  const found = chart.lines.flatMap((line) => {
    const one = range(line.data, chart.from, chart.to, chart.log);
    return one ? [one] : [];
  });
  const low = Math.min(...found.map((r) => r[0]));
  const high = Math.max(...found.map((r) => r[1]));
  const known = found.length > 0;
  [chart.y.low, chart.y.high] = known ? roomy(low, high, chart.log) : chart.log ? [1, 10] : [0, 1];
  const across = timeTicks(chart.from, chart.to, Math.max(2, (chart.x.to - chart.x.from) / 90));
  drawAxes(chart, pen, across, known);
  if (!known) {
    pen.fillStyle = color("--soft");
    pen.textAlign = "center";
    const why = chart.log ? "no values above 0 in this time" : "no values in this time";
    pen.fillText(why, (chart.x.from + chart.x.to) / 2, (chart.y.from + chart.y.to) / 2);
  }
  clip(chart, pen, () => {
    drawMarks(chart, pen);
    chart.lines.forEach((line) => drawLine(chart, pen, line));
    drawPointer(chart, pen);
  });
}

/** @param {Chart} chart @param {CanvasRenderingContext2D} pen @param {() => void} action */
function clip(chart, pen, action) {
  pen.save();
  pen.beginPath();
  pen.rect(chart.x.from, chart.y.to, chart.x.to - chart.x.from, chart.y.from - chart.y.to);
  pen.clip();
  action();
  pen.restore();
}

/**
 * @param {Chart} chart @param {CanvasRenderingContext2D} pen @param {{at: number, text: string}[]} across
 * @param {boolean} known whether there are values
 */
function drawAxes(chart, pen, across, known) {
  const { x, y } = chart;
  pen.lineWidth = 1;
  pen.setLineDash([]);
  pen.strokeStyle = color("--grid");
  pen.fillStyle = color("--soft");
  pen.textAlign = "center";
  pen.textBaseline = "top";
  let free = -Infinity;
  for (const tick of across) {
    const at = Math.round(place(x, tick.at)) + 0.5;
    line(pen, at, y.from, at, y.to);
    const half = pen.measureText(tick.text).width / 2;
    if (at - half < Math.max(free, 0) || at + half > x.to + MARGIN.right) continue;
    pen.fillText(tick.text, at, y.from + 7);
    free = at + half + 8;
  }
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  const up = y.log ? decades(y.low, y.high) : ticks(y.low, y.high, Math.max(2, (y.from - y.to) / 45));
  for (const tick of known ? up : []) {
    const at = Math.round(place(y, tick)) + 0.5;
    line(pen, x.from, at, x.to, at);
    pen.fillText(number(tick), x.from - 8, at);
  }
  pen.strokeStyle = color("--line");
  pen.strokeRect(x.from + 0.5, y.to + 0.5, x.to - x.from, y.from - y.to);
}

/** @param {CanvasRenderingContext2D} pen @param {number} a @param {number} b @param {number} c @param {number} d */
function line(pen, a, b, c, d) {
  pen.beginPath();
  pen.moveTo(a, b);
  pen.lineTo(c, d);
  pen.stroke();
}

/** @param {Chart} chart @param {CanvasRenderingContext2D} pen @param {Line} one */
function drawLine(chart, pen, one) {
  const { t, lo, hi } = one.data;
  pen.strokeStyle = one.color;
  pen.fillStyle = one.color;
  pen.lineWidth = 1.6;
  pen.lineJoin = "round";
  pen.setLineDash(one.dash);
  pen.beginPath();
  let open = false;
  let alone = null;
  const end = Math.min(before(t, chart.to) + 1, t.length - 1);
  for (let i = Math.max(0, before(t, chart.from)); i <= end; i++) {
    const a = lo[i];
    const b = hi[i];
    const at = place(chart.x, t[i]);
    const low = a === null ? NaN : place(chart.y, a);
    const high = b === null ? NaN : place(chart.y, b);
    if (Number.isNaN(low) && Number.isNaN(high)) {
      if (alone) dot(pen, alone);
      open = false;
      alone = null;
      continue;
    }
    const first = Number.isNaN(low) ? high : low;
    if (open) pen.lineTo(at, first);
    else pen.moveTo(at, first);
    if (high !== low && !Number.isNaN(high) && !Number.isNaN(low)) pen.lineTo(at, high);
    alone = open ? null : [at, first];
    open = true;
  }
  pen.stroke();
  if (alone) dot(pen, alone);
}

/**
 * A value between two gaps is a point.
 * @param {CanvasRenderingContext2D} pen
 * @param {number[]} at
 */
function dot(pen, at) {
  pen.fillRect(at[0] - 1.5, at[1] - 1.5, 3, 3);
}

/** @param {Chart} chart @param {CanvasRenderingContext2D} pen */
function drawMarks(chart, pen) {
  for (const mark of chart.marks) {
    if (mark.t < chart.from || mark.t > chart.to) continue;
    const at = place(chart.x, mark.t);
    const bad = mark.kind === "alarm" || mark.kind === "error";
    pen.fillStyle = color(bad ? "--bad" : "--soft");
    pen.strokeStyle = pen.fillStyle;
    pen.globalAlpha = 0.45;
    pen.setLineDash([2, 4]);
    line(pen, at, chart.y.to, at, chart.y.from);
    pen.globalAlpha = 1;
    pen.beginPath();
    pen.moveTo(at - 5, chart.y.from);
    pen.lineTo(at + 5, chart.y.from);
    pen.lineTo(at, chart.y.from - 8);
    pen.fill();
  }
}

/** @param {Chart} chart @param {CanvasRenderingContext2D} pen */
function drawPointer(chart, pen) {
  if (chart.pointer === null) return;
  pen.setLineDash([]);
  if (chart.dragged !== null) {
    pen.fillStyle = color("--accent");
    pen.globalAlpha = 0.15;
    pen.fillRect(Math.min(chart.dragged, chart.pointer), chart.y.to, Math.abs(chart.pointer - chart.dragged), chart.y.from - chart.y.to);
    pen.globalAlpha = 1;
  }
  pen.strokeStyle = color("--soft");
  pen.lineWidth = 1;
  line(pen, chart.pointer, chart.y.to, chart.pointer, chart.y.from);
  const when = value(chart.x, chart.pointer);
  for (const one of chart.lines) {
    const i = nearest(one.data.t, when);
    const shown = i < 0 ? null : one.data.hi[i];
    if (shown === null || shown === undefined) continue;
    pen.fillStyle = one.color;
    pen.beginPath();
    pen.arc(place(chart.x, one.data.t[i]), place(chart.y, shown), 3.5, 0, 7);
    pen.fill();
  }
}

/** @param {number[]} times @param {number} when */
export function nearest(times, when) {
  const i = before(times, when);
  if (i < 0) return times.length ? 0 : -1;
  return i + 1 < times.length && times[i + 1] - when < when - times[i] ? i + 1 : i;
}

/** @param {Chart} chart @param {CanvasRenderingContext2D} pen */
function drawCloud(chart, pen) {
  const cloud = chart.cloud;
  if (!cloud) return;
  const limits = (/** @type {number[]} */ all) => all.length ? roomy(Math.min(...all), Math.max(...all), false) : [0, 1];
  [chart.x.low, chart.x.high] = limits(cloud.x);
  const shown = chart.log ? cloud.y.filter((v) => v > 0) : cloud.y;
  [chart.y.low, chart.y.high] = shown.length ? roomy(Math.min(...shown), Math.max(...shown), chart.log) : [1, 10];
  const across = ticks(chart.x.low, chart.x.high, Math.max(2, (chart.x.to - chart.x.from) / 90));
  drawAxes(chart, pen, across.map((at) => ({ at, text: number(at) })), cloud.x.length > 0);
  clip(chart, pen, () => {
    const line0 = chart.lines[0];
    pen.fillStyle = line0 ? line0.color : color("--accent");
    for (let i = 0; i < cloud.x.length; i++) {
      const last = i === cloud.x.length - 1;
      pen.globalAlpha = last ? 1 : 0.35 + 0.4 * (i / cloud.x.length);
      const half = last ? 4 : 2;
      pen.fillRect(place(chart.x, cloud.x[i]) - half, place(chart.y, cloud.y[i]) - half, 2 * half, 2 * half);
    }
    pen.globalAlpha = 1;
    const i = chart.pick;
    if (i === null || i >= cloud.x.length) return;
    pen.strokeStyle = color("--ink");
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(place(chart.x, cloud.x[i]), place(chart.y, cloud.y[i]), 7, 0, 7);
    pen.stroke();
  });
}

/**
 * The point of a cloud that is nearest on the screen; null where none is near.
 * @param {Chart} chart @param {Cloud} cloud @param {number} across @param {number} down
 */
function picked(chart, cloud, across, down) {
  let found = null;
  let least = 40 ** 2;
  cloud.x.forEach((x, i) => {
    const far = (place(chart.x, x) - across) ** 2 + (place(chart.y, cloud.y[i]) - down) ** 2;
    if (far < least) [found, least] = [i, far];
  });
  return found;
}

/** @param {Chart} chart */
function listen(chart) {
  const canvas = chart.canvas;
  const at = (/** @type {PointerEvent | WheelEvent} */ e) =>
    Math.min(chart.x.to, Math.max(chart.x.from, e.clientX - canvas.getBoundingClientRect().left));
  canvas.addEventListener("pointermove", (e) => {
    chart.pointer = at(e);
    if (chart.cloud) chart.pick = picked(chart, chart.cloud, e.offsetX, e.offsetY);
    chart.onPoint(chart.cloud ? null : value(chart.x, chart.pointer));
    chart.redraw();
  });
  canvas.addEventListener("pointerleave", () => {
    if (chart.dragged !== null) return;
    chart.pointer = null;
    chart.pick = null;
    chart.onPoint(null);
    chart.redraw();
  });
  canvas.addEventListener("pointerdown", (e) => {
    if (e.button !== 0 || chart.cloud) return;
    chart.dragged = at(e);
    canvas.setPointerCapture(e.pointerId);
  });
  const end = (/** @type {PointerEvent} */ e, /** @type {boolean} */ done) => {
    const began = chart.dragged;
    chart.dragged = null;
    if (done && began !== null && Math.abs(at(e) - began) > 6) {
      const ends = [value(chart.x, began), value(chart.x, at(e))].sort((a, b) => a - b);
      chart.onZoom(ends[0], ends[1]);
    }
    if (e.pointerType === "touch") chart.pointer = null;
    chart.redraw();
  };
  canvas.addEventListener("pointerup", (e) => end(e, true));
  canvas.addEventListener("pointercancel", (e) => end(e, false));
  canvas.addEventListener("wheel", (e) => {
    if (chart.cloud) return;
    e.preventDefault();
    zoom(chart, value(chart.x, at(e)), e.deltaY > 0 ? 1.25 : 0.8);
  }, { passive: false });
  canvas.addEventListener("keydown", (e) => {
    if (chart.cloud || e.ctrlKey || e.metaKey || e.altKey) return;
    const span = chart.to - chart.from;
    const middle = (chart.from + chart.to) / 2;
    if (e.key === "+" || e.key === "=") zoom(chart, middle, 0.6);
    else if (e.key === "-") zoom(chart, middle, 1 / 0.6);
    else if (e.key === "ArrowLeft") chart.onZoom(chart.from - span / 4, chart.to - span / 4);
    else if (e.key === "ArrowRight") chart.onZoom(chart.from + span / 4, chart.to + span / 4);
    else return;
    e.preventDefault();
  });
}

/** @param {Chart} chart @param {number} around @param {number} factor */
function zoom(chart, around, factor) {
  const span = Math.max(1e-3, (chart.to - chart.from) * factor);
  const share = (around - chart.from) / (chart.to - chart.from);
  chart.onZoom(around - span * share, around + span * (1 - share));
}

/**
 * The read-out of a line at a time.
 * @param {Line} one
 * @param {number} when
 */
export function reading(one, when) {
  const i = nearest(one.data.t, when);
  if (i < 0) return "–";
  const low = one.data.lo[i];
  const high = one.data.hi[i];
  const unit = one.unit ? ` ${one.unit}` : "";
  if (low !== high && low !== null && high !== null) return `${number(low, one.format)} … ${number(high, one.format)}${unit}`;
  return `${number(high ?? low, one.format)}${unit}`;
}

export { time };
