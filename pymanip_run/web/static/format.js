// Numbers, times and ages as people read them. All functions are pure.

/**
 * A number by a Python format such as ".3f", ".2e", ".4g", or with six significant digits.
 * @param {number | null | undefined} value
 * @param {string | null} [spec]
 * @returns {string}
 */
export function number(value, spec) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : "−∞";
  const found = /^\.(\d+)([fegFEG])$/.exec(spec ?? "");
  if (found) {
    const digits = Math.min(20, Number(found[1]));
    const kind = found[2].toLowerCase();
    if (kind === "f") return value.toFixed(digits);
    if (kind === "e") return value.toExponential(digits);
    return significant(value, Math.max(1, digits));
  }
  return significant(value, 6);
}

/**
 * @param {number} value
 * @param {number} digits
 */
function significant(value, digits) {
  const size = Math.abs(value);
  if (value === 0) return "0";
  if (size >= 1e7 || size < 1e-4) return value.toExponential(Math.min(digits - 1, 4));
  const text = value.toPrecision(digits);
  return text.includes(".") && !text.includes("e") ? text.replace(/\.?0+$/, "") : String(Number(text));
}

/**
 * What a person typed as a number, also with a decimal comma; NaN where it is none: an empty field is not 0.
 * @param {string} text
 */
export function typed(text) {
  const plain = text.trim().replace(",", ".");
  return plain === "" ? NaN : Number(plain);
}

/**
 * How old something is, in one or two units: "now", "2 s", "4 min", "2 h 30 min".
 * @param {number | null | undefined} seconds
 */
export function age(seconds) {
  return seconds !== null && seconds !== undefined && seconds < 1 ? "now" : span(seconds);
}

/**
 * A length of time.
 * @param {number | null | undefined} seconds
 */
export function span(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  if (seconds < 0.9995) return `${Number((seconds * 1000).toPrecision(3))} ms`;
  if (seconds < 10) return `${Number(seconds.toPrecision(2))} s`;
  if (seconds < 59.5) return `${Math.round(seconds)} s`;
  if (seconds < 3570) return `${Math.round(seconds / 60)} min`;
  const whole = Math.round(seconds / 60);
  if (whole < 1440) return two(Math.floor(whole / 60), "h", whole % 60, "min");
  const hours = Math.round(seconds / 3600);
  return two(Math.floor(hours / 24), "d", hours % 24, "h");
}

/** @param {number} a @param {string} unit @param {number} b @param {string} small */
function two(a, unit, b, small) {
  return b ? `${a} ${unit} ${b} ${small}` : `${a} ${unit}`;
}

/**
 * A running time: "2:14:07", "3 d 2:14:07".
 * @param {number | null | undefined} seconds
 */
export function clock(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const whole = Math.max(0, Math.floor(seconds));
  const days = Math.floor(whole / 86400);
  const pad = (/** @type {number} */ n) => String(n).padStart(2, "0");
  const text = `${Math.floor((whole % 86400) / 3600)}:${pad(Math.floor((whole % 3600) / 60))}:${pad(whole % 60)}`;
  return days ? `${days} d ${text}` : text;
}

/**
 * The time of day, with the date where it is not today's.
 * @param {number} unix seconds
 * @param {boolean} [exact]
 */
export function time(unix, exact) {
  const whole = stamp(unix);
  const isToday = new Date(unix * 1000).toDateString() === new Date().toDateString();
  const text = isToday ? whole.slice(whole.indexOf(" ") + 1) : whole;
  return exact ? `${text}.${String(Math.floor(((unix % 1) + 1) % 1 * 1000)).padStart(3, "0")}` : text;
}

/**
 * Date and time, for what is looked at on other days, too.
 * @param {number} unix
 */
export function stamp(unix) {
  const date = new Date(unix * 1000);
  const pad = (/** @type {number} */ n) => String(n).padStart(2, "0");
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
}

/** @param {number | null | undefined} bytes */
export function size(bytes) {
  if (bytes === null || bytes === undefined) return "–";
  let value = bytes;
  for (const unit of ["B", "kB", "MB", "GB"]) {
    if (value < 999.5) return `${unit === "B" || value >= 99.5 ? value.toFixed(0) : value.toFixed(1)} ${unit}`;
    value /= 1000;
  }
  return `${value.toFixed(1)} TB`;
}

/**
 * Round numbers for an axis.
 * @param {number} low @param {number} high @param {number} count about how many
 * @returns {number[]}
 */
export function ticks(low, high, count) {
  const span = high - low;
  if (!(span > 0) || !Number.isFinite(span)) return [low];
  const rough = span / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((f) => f * power >= rough) ?? 10);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) {
    found.push(Number((i * step).toPrecision(12)));
    if (found.length > 100) break;
  }
  return found;
}

const STEPS = [1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200,
  10800, 21600, 43200, 86400, 172800, 604800, 1209600, 2592000, 7776000, 31536000];

/**
 * Times for an axis, at round local times.
 * @param {number} low @param {number} high @param {number} count
 * @returns {{at: number, text: string}[]}
 */
export function timeTicks(low, high, count) {
  const step = STEPS.find((s) => (high - low) / s <= count) ?? STEPS[STEPS.length - 1];
  const zone = step >= 3600 ? new Date(low * 1000).getTimezoneOffset() * 60 : 0;
  const found = [];
  for (let i = Math.ceil((low - zone) / step); i * step + zone <= high; i++) {
    const at = i * step + zone;
    found.push({ at, text: tickText(at, step) });
    if (found.length > 100) break;
  }
  return found;
}

/** @param {number} at @param {number} step */
function tickText(at, step) {
  const date = new Date(at * 1000);
  const pad = (/** @type {number} */ n) => String(n).padStart(2, "0");
  if (step >= 86400) return `${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  const text = `${pad(date.getHours())}:${pad(date.getMinutes())}`;
  if (step >= 60) return date.getHours() + date.getMinutes() === 0 ? `${pad(date.getMonth() + 1)}-${pad(date.getDate())}` : text;
  if (step >= 1) return `${text}:${pad(date.getSeconds())}`;
  return `${pad(date.getSeconds())}.${String(Math.round((at % 1) * 1000)).padStart(3, "0")}`;
}
