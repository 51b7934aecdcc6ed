// A plot as a picture that says what it shows, also where the page is not beside it: title, time, legend with units.

import { color } from "./dom.js";
import { stamp } from "./format.js";

const FONT = "system-ui, 'Liberation Sans', 'DejaVu Sans', sans-serif";
const HEAD = 48;
const ROW = 22;
const SIDE = 14;
const SWATCH = 30;

/**
 * @typedef {{text: string, color: string | null, dash: number[]}} Named
 */

/**
 * @param {string} title
 * @param {HTMLCanvasElement} chart
 * @param {Named[]} legend
 * @param {[number, number] | null} extent from when to when
 * @returns {HTMLCanvasElement}
 */
export function picture(title, chart, legend, extent) {
  const paper = document.createElement("canvas");
  const density = chart.clientWidth ? chart.width / chart.clientWidth : 1;
  const width = chart.width / density;
  const height = chart.height / density;
  const pen = paper.getContext("2d");
  if (!pen) return paper;
  pen.font = `13px ${FONT}`;
  const places = rows(legend.map((one) => pen.measureText(one.text).width + SIDE + (one.color ? SWATCH : 0)), width - 2 * SIDE);
  const last = places.length ? places[places.length - 1].row : -1;
  paper.width = chart.width;
  paper.height = Math.round((HEAD + height + (last + 1) * ROW + SIDE) * density);
  pen.scale(density, density);
  pen.fillStyle = color("--card");
  pen.fillRect(0, 0, width, paper.height / density);
  pen.fillStyle = color("--ink");
  pen.font = `600 15px ${FONT}`;
  pen.fillText(title, SIDE, 22, width - 2 * SIDE);
  pen.font = `12px ${FONT}`;
  pen.fillStyle = color("--soft");
  if (extent) pen.fillText(`${stamp(extent[0])} – ${stamp(extent[1])}`, SIDE, 40, width - 2 * SIDE);
  pen.drawImage(chart, 0, HEAD, width, height);
  pen.font = `13px ${FONT}`;
  legend.forEach((one, i) => name(pen, one, SIDE + places[i].at, HEAD + height + ROW * (places[i].row + 0.5)));
  return paper;
}

/**
 * Where items of some widths have their place, in rows of a width.
 * @param {number[]} widths
 * @param {number} room
 * @returns {{row: number, at: number}[]}
 */
export function rows(widths, room) {
  let row = 0;
  let free = 0;
  return widths.map((width) => {
    if (free > 0 && free + width > room) [row, free] = [row + 1, 0];
    const at = free;
    free += width;
    return { row, at };
  });
}

/** @param {CanvasRenderingContext2D} pen @param {Named} one @param {number} x @param {number} y */
function name(pen, one, x, y) {
  if (one.color) {
    pen.strokeStyle = one.color;
    pen.lineWidth = 2;
    pen.setLineDash(one.dash);
    pen.beginPath();
    pen.moveTo(x, y - 4);
    pen.lineTo(x + SWATCH - 6, y - 4);
    pen.stroke();
  }
  pen.fillStyle = color("--ink");
  pen.fillText(one.text, x + (one.color ? SWATCH : 0), y);
}
