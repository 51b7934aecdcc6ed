// From values to places on a canvas and back.

/**
 * @typedef {{low: number, high: number, from: number, to: number, log?: boolean}} Scale
 */

/** @param {Scale} s @param {number} value */
export function place(s, value) {
  if (s.log) {
    if (!(value > 0)) return NaN;
    return s.from + ((Math.log10(value) - Math.log10(s.low)) / (Math.log10(s.high) - Math.log10(s.low))) * (s.to - s.from);
  }
  return s.from + ((value - s.low) / (s.high - s.low)) * (s.to - s.from);
}

/** @param {Scale} s @param {number} at */
export function value(s, at) {
  const share = (at - s.from) / (s.to - s.from);
  if (s.log) return 10 ** (Math.log10(s.low) + share * (Math.log10(s.high) - Math.log10(s.low)));
  return s.low + share * (s.high - s.low);
}

/**
 * Limits with some room around what is seen, so that a constant is a line in the middle.
 * @param {number} low @param {number} high @param {boolean} log
 * @returns {[number, number]}
 */
export function roomy(low, high, log) {
  if (log) {
    const a = Math.log10(low);
    const b = Math.log10(high);
    const room = Math.max((b - a) * 0.05, 0.02);
    return [10 ** (a - room), 10 ** (b + room)];
  }
  const span = high - low;
  const room = span > 0 ? span * 0.06 : Math.max(Math.abs(high) * 0.01, 1e-9);
  return [low - room, high + room];
}

/**
 * Round values for a logarithmic axis.
 * @param {number} low @param {number} high
 * @returns {number[]}
 */
export function decades(low, high) {
  const first = Math.floor(Math.log10(low));
  const last = Math.ceil(Math.log10(high));
  const factors = last - first <= 2 ? [1, 2, 5] : [1];
  const step = Math.max(1, Math.ceil((last - first) / 8));
  const found = [];
  for (let power = first; power <= last; power += step) {
    for (const factor of factors) {
      const at = Number(`${factor}e${power}`);
      if (at >= low && at <= high) found.push(at);
    }
  }
  return found;
}
