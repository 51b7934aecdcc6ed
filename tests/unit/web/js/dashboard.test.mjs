// The parts of the dashboard that need no page. Run by node's own runner.

import assert from "node:assert/strict";
import { test } from "node:test";

const here = new URL("../../../../pymanip_run/web/static/", import.meta.url);
const { age, clock, number, size, span, stamp, ticks, time, timeTicks, typed } = await import(new URL("format.js", here));
const series = await import(new URL("series.js", here));
const { read } = await import(new URL("npy.js", here));
const { rows } = await import(new URL("picture.js", here));
const scale = await import(new URL("scale.js", here));
const { look, table } = await import(new URL("palette.js", here));

test("numbers are written by their format, or with six digits", () => {
  assert.equal(number(41.27349, ".3f"), "41.273");
  assert.equal(number(0.000012345, ".2e"), "1.23e-5");
  assert.equal(number(12.02), "12.02");
  assert.equal(number(1234567.8), "1234570");
  assert.equal(number(5e-9), "5.0000e-9");
  assert.equal(number(0), "0");
  assert.equal(number(null), "–");
  assert.equal(number(-Infinity), "−∞");
  assert.equal(number(3, "nonsense"), "3");
});

test("ages and times", () => {
  assert.deepEqual([0.3, 2.4, 59, 61, 3600, 9000, 90000].map(age), ["now", "2.4 s", "59 s", "1 min", "1 h", "2 h 30 min", "1 d 1 h"]);
  assert.deepEqual([0.05, 0.5, 10, 300].map(span), ["50 ms", "500 ms", "10 s", "5 min"]);
  assert.equal(age(null), "–");
  assert.equal(clock(8047), "2:14:07");
  assert.equal(clock(267247), "3 d 2:14:07");
  assert.equal(size(3_100_000), "3.1 MB");
});

test("a picture is looked at on other days, too", () => {
  const now = new Date(2026, 10, 23, 9, 5, 7).getTime() / 1000;
  assert.equal(stamp(now), "2026-11-23 09:05:07");
  assert.equal(time(Date.now() / 1000).length, 8);
  assert.equal(time(now - 1e8), stamp(now - 1e8));
});

test("a legend goes on in the next row where one is full, and a name wider than the picture has a row", () => {
  assert.deepEqual(rows([40, 50, 30, 200, 10], 100), [
    { row: 0, at: 0 }, { row: 0, at: 40 }, { row: 1, at: 0 }, { row: 2, at: 0 }, { row: 3, at: 0 },
  ]);
});

test("axes have round numbers within their limits, also far from zero", () => {
  assert.deepEqual(ticks(0, 10, 5), [0, 2, 4, 6, 8, 10]);
  assert.deepEqual(ticks(5, 5, 5), [5]);
  for (const [low, high] of [[1e9, 1e9 + 1e-3], [-3, 7], [1e-12, 3e-12], [-1e300, 1e300]]) {
    const found = ticks(low, high, 6);
    assert.ok(found.length >= 2 && found.length <= 20, `${low} ${high}: ${found}`);
    assert.ok(found.every((t) => t >= low - 1e-9 * Math.abs(low) && t <= high + 1e-9 * Math.abs(high)));
  }
  assert.ok(timeTicks(1.7e9, 1.7e9 + 600, 8).length >= 4);
  assert.ok(timeTicks(1.7e9, 1.7e9 + 1e8, 8).length <= 10);
});

test("what came later is added once, whatever overlaps", () => {
  const data = series.fromServer({ t: [1, 2, 3], min: [1, 0, null], max: [1, 5, null] });
  series.append(data, { t: [3, 4, 5], v: [9, 4, null] });
  series.append(data, { t: [4, 5], v: [4, null] });
  assert.deepEqual(data, { t: [1, 2, 3, 4, 5], lo: [1, 0, null, 4, null], hi: [1, 5, null, 4, null] });
});

test("thinning keeps every extreme", () => {
  const data = series.empty();
  for (let i = 0; i < 1000; i++) series.append(data, { t: [i], v: [i === 567 ? 99 : i === 123 ? -99 : Math.sin(i)] });
  const thin = series.thinned(data, 100);
  assert.ok(thin.t.length <= 100);
  assert.equal(Math.max(...thin.hi), 99);
  assert.equal(Math.min(...thin.lo), -99);
});

test("the range of what is seen leaves out what is not, and below zero on a log scale", () => {
  const data = { t: [0, 10, 20, 30], lo: [-5, 2, null, 100], hi: [-5, 3, null, 100] };
  assert.deepEqual(series.range(data, 9, 12, false), [-5, 3]);
  assert.deepEqual(series.range(data, 10, 30, true), [2, 100]);
  assert.equal(series.range(series.empty(), 0, 1, false), null);
});

test("x and y of different times are paired by the nearest earlier x", () => {
  assert.deepEqual(series.paired({ t: [1, 5], v: [10, 50] }, { t: [0, 2, 5, 9], v: [1, 2, 3, null] }), { x: [10, 50], y: [2, 3], t: [2, 5] });
});

test("old points are forgotten, but the line still enters from the left", () => {
  const data = { t: Array.from({ length: 2000 }, (_, i) => i), lo: Array(2000).fill(0), hi: Array(2000).fill(0) };
  series.forget(data, 1000.5);
  assert.equal(data.t[0], 1000);
  assert.equal(data.lo.length, data.t.length);
});

/** An array as numpy.save writes it. */
function npy(descr, shape, bytes, fortran = "False") {
  const text = `{'descr': '${descr}', 'fortran_order': ${fortran}, 'shape': (${shape.join(", ")}${shape.length === 1 ? "," : ""}), }`;
  const header = text.padEnd(117) + "\n";
  const buffer = new Uint8Array(10 + header.length + bytes.length);
  buffer.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length & 255, header.length >> 8]);
  buffer.set(new TextEncoder().encode(header), 10);
  buffer.set(bytes, 10 + header.length);
  return buffer.buffer;
}

test("arrays of numpy are read, of both byte orders and both orders of axes", () => {
  assert.deepEqual(read(npy("<u2", [2, 2], [1, 0, 2, 0, 3, 0, 0, 1])), { shape: [2, 2], data: Float64Array.of(1, 2, 3, 256) });
  assert.deepEqual(read(npy(">i2", [1], [255, 254])).data, Float64Array.of(-2));
  assert.deepEqual(read(npy("|b1", [2], [0, 1])).data, Float64Array.of(0, 1));
  assert.deepEqual(read(npy("<f2", [1], [0, 0x3c])).data, Float64Array.of(1));
  assert.deepEqual([...read(npy("|u1", [2, 3], [1, 4, 2, 5, 3, 6], "True")).data], [1, 2, 3, 4, 5, 6]);
  assert.throws(() => read(npy("|O", [1], [0])), /cannot be shown/);
  assert.throws(() => read(new ArrayBuffer(4)), /no array/);
});

test("scales go there and back, logarithmic ones too", () => {
  for (const s of [{ low: 2, high: 7, from: 60, to: 500 }, { low: 0.01, high: 1e6, from: 300, to: 10, log: true }]) {
    for (const v of [2, 3.3, 7]) assert.ok(Math.abs(scale.value(s, scale.place(s, v)) - v) < 1e-9 * v);
  }
  assert.ok(Number.isNaN(scale.place({ low: 1, high: 10, from: 0, to: 1, log: true }, -1)));
  const [low, high] = scale.roomy(5, 5, false);
  assert.ok(low < 5 && high > 5);
  assert.ok(scale.decades(0.001, 1e12).length < 12);
});

test("a map of colours has 256, from end to end", () => {
  const colors = table("viridis");
  assert.equal(colors.length, 768);
  assert.deepEqual([...colors.slice(0, 3), ...colors.slice(-3)], [68, 1, 84, 253, 231, 37]);
});

test("no two of the first 28 series look the same", () => {
  for (const dark of [false, true]) {
    globalThis.matchMedia = () => ({ matches: dark });
    const looks = Array.from({ length: 28 }, (_, i) => JSON.stringify(look(i)));
    assert.equal(new Set(looks).size, 28);
  }
});

test("an empty field is no number, least of all 0", () => {
  for (const text of ["", "  ", "warm", "1,2,3"]) assert.ok(Number.isNaN(typed(text)));
  assert.deepEqual(["0", " 1,5 ", "-2e3"].map(typed), [0, 1.5, -2000]);
});

test("a variable may have any name", async () => {
  const { bare } = await import(new URL("api.js", here));
  const found = bare(JSON.parse('{"series": {"toString": {"t": [1], "v": [2]}}, "values": {"__proto__": 1}}'));
  assert.equal(found.series.constructor, undefined);
  assert.deepEqual(found.series.toString, { t: [1], v: [2] });
  assert.deepEqual(Object.keys(found.values), ["__proto__"]);
  assert.equal(bare(null), null);
});

test("a server that stops in the middle of an answer is given up", async (context) => {
  const { get } = await import(new URL("api.js", here));
  context.mock.timers.enable({ apis: ["setTimeout"] });
  globalThis.fetch = async (_, { signal }) => ({
    ok: true, json: () => new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("given up")))),
  });
  const answer = get("snapshot");
  for (let i = 0; i < 5; i++) await Promise.resolve();
  context.mock.timers.tick(20000);
  const late = new Promise((resolve) => setImmediate(() => resolve("still waiting")));
  await assert.rejects(Promise.race([answer, late]), /given up/);
});
