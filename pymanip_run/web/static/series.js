// What the page keeps of a series: an envelope of what is seen, and behind it the raw values that came since.

/**
 * @typedef {{t: number[], lo: (number | null)[], hi: (number | null)[]}} Data
 * @typedef {{t: number[], v?: (number | null)[], min?: (number | null)[], max?: (number | null)[]}} Received
 */

/** @returns {Data} */
export function empty() {
  return { t: [], lo: [], hi: [] };
}

/**
 * @param {Received | undefined} received
 * @returns {Data}
 */
export function fromServer(received) {
  if (!received) return empty();
  const v = received.v ?? [];
  return { t: received.t.slice(), lo: (received.min ?? v).slice(), hi: (received.max ?? v).slice() };
}

/**
 * Add what came later; what is there already, or older, is left out.
 * @param {Data} data
 * @param {Received} received
 */
export function append(data, received) {
  const v = received.v ?? [];
  const last = data.t.length ? data.t[data.t.length - 1] : -Infinity;
  for (let i = 0; i < received.t.length; i++) {
    if (received.t[i] <= last) continue;
    data.t.push(received.t[i]);
    data.lo.push(v[i]);
    data.hi.push(v[i]);
  }
}

/**
 * Join neighbours until there are at most `most` points: no extreme is lost.
 * @param {Data} data
 * @param {number} most
 * @returns {Data}
 */
export function thinned(data, most) {
  let now = data;
  while (now.t.length > most) {
    const next = empty();
    for (let i = 0; i < now.t.length; i += 2) {
      const j = Math.min(i + 1, now.t.length - 1);
      next.t.push(now.t[i]);
      next.lo.push(least(now.lo[i], now.lo[j]));
      next.hi.push(most2(now.hi[i], now.hi[j]));
    }
    now = next;
  }
  return now;
}

/** @param {number | null} a @param {number | null} b */
function least(a, b) {
  return a === null ? b : b === null ? a : Math.min(a, b);
}

/** @param {number | null} a @param {number | null} b */
function most2(a, b) {
  return a === null ? b : b === null ? a : Math.max(a, b);
}

/**
 * The index of the last time at or before `when`, -1 where there is none.
 * @param {number[]} times
 * @param {number} when
 */
export function before(times, when) {
  let low = 0;
  let high = times.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] <= when) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/**
 * Drop what is older than `since`, but one point, so that the line enters from the left.
 * @param {Data} data
 * @param {number} since
 */
export function forget(data, since) {
  const first = before(data.t, since);
  if (first < 512) return;
  data.t.splice(0, first);
  data.lo.splice(0, first);
  data.hi.splice(0, first);
}

/**
 * The smallest and largest value within two times; null where there is none.
 * @param {Data} data @param {number} from @param {number} to @param {boolean} positive only values above 0
 * @returns {[number, number] | null}
 */
export function range(data, from, to, positive) {
  let low = Infinity;
  let high = -Infinity;
  const end = before(data.t, to);
  for (let i = Math.max(0, before(data.t, from)); i <= Math.min(end + 1, data.t.length - 1); i++) {
    const a = data.lo[i];
    const b = data.hi[i];
    if (a !== null && (!positive || a > 0) && a < low) low = a;
    if (b !== null && (!positive || b > 0) && b > high) high = b;
    if (positive && b !== null && b > 0 && b < low) low = b;
  }
  return low <= high ? [low, high] : null;
}

/**
 * Pairs of x and y of different times: each y with the nearest earlier x.
 * @param {Received | undefined} x @param {Received | undefined} y
 * @returns {{x: number[], y: number[], t: number[]}} t: the times of y
 */
export function paired(x, y) {
  const found = { x: /** @type {number[]} */ ([]), y: /** @type {number[]} */ ([]), t: /** @type {number[]} */ ([]) };
  if (!x || !y) return found;
  const xs = x.v ?? [];
  const ys = y.v ?? [];
  for (let i = 0; i < y.t.length; i++) {
    const j = before(x.t, y.t[i]);
    const a = j < 0 ? null : xs[j];
    const b = ys[i];
    if (a === null || b === null) continue;
    found.x.push(a);
    found.y.push(b);
    found.t.push(y.t[i]);
  }
  return found;
}
