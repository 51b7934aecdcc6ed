// A record of a dataset as lines: the smallest and largest value of each of its bins, as histories are drawn.

import { color } from "./dom.js";
import { number, ticks } from "./format.js";
import { look } from "./palette.js";
import { place, roomy } from "./scale.js";

const LEFT = 62;
const RIGHT = 892;
const TOP = 15;
const BOTTOM = 270;

/**
 * @param {HTMLCanvasElement} canvas of 900 × 300
 * @param {import("./npy.js").NdArray} array of shape (lines, bins, 2)
 * @param {number} length of the whole line
 */
export function drawEnvelope(canvas, array, length) {
  const pen = canvas.getContext("2d");
  if (!pen) return;
  const [count, bins] = array.shape;
  const [low, high] = limits(array.data);
  const x = { low: 0, high: Math.max(1, length - 1), from: LEFT, to: RIGHT };
  const y = { low, high, from: BOTTOM, to: TOP };
  pen.font = "12px system-ui, sans-serif";
  pen.fillStyle = color("--soft");
  pen.textAlign = "right";
  for (const tick of ticks(low, high, 5)) {
    pen.fillText(number(tick), LEFT - 6, place(y, tick) + 4);
    pen.fillRect(LEFT, place(y, tick), RIGHT - LEFT, 0.3);
  }
  pen.textAlign = "center";
  for (const tick of ticks(0, x.high, 8).filter(Number.isInteger)) pen.fillText(String(tick), place(x, tick), BOTTOM + 20);
  pen.lineWidth = 1.5;
  for (let k = 0; k < count; k++) {
    const { color: stroke, dash } = look(k);
    pen.strokeStyle = stroke;
    pen.setLineDash(dash);
    drawOne(pen, (bin, end) => array.data[(k * bins + bin) * 2 + end], bins, (bin) => place(x, (bin * length) / bins), y);
  }
}

/** @param {ArrayLike<number>} data */
function limits(data) {
  let low = Infinity;
  let high = -Infinity;
  for (let i = 0; i < data.length; i++) {
    if (data[i] < low) low = data[i];
    if (data[i] > high) high = data[i];
  }
  return low > high ? [0, 1] : roomy(low, high, false);
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {(bin: number, end: number) => number} value
 * @param {number} bins
 * @param {(bin: number) => number} across
 * @param {import("./scale.js").Scale} y
 */
function drawOne(pen, value, bins, across, y) {
  pen.beginPath();
  let open = false;
  for (let bin = 0; bin < bins; bin++) {
    const [low, high] = [place(y, value(bin, 0)), place(y, value(bin, 1))];
    const at = across(bin);
    if (Number.isNaN(low)) {
      open = false; // a gap, as in the plots
      continue;
    }
    if (open) pen.lineTo(at, low);
    else pen.moveTo(at, low);
    pen.lineTo(at, low === high && !open ? high + 0.01 : high); // a value between two gaps is a point
    open = true;
  }
  pen.stroke();
}
