// Arrays as numpy.save writes them (NEP 1), read without copying where that is possible.

/**
 * @typedef {{shape: number[], data: ArrayLike<number>}} NdArray
 */

/** @type {Record<string, [number, (view: DataView, at: number, little: boolean) => number]>} */
const READERS = {
  b1: [1, (v, at) => v.getUint8(at)], i1: [1, (v, at) => v.getInt8(at)], u1: [1, (v, at) => v.getUint8(at)],
  i2: [2, (v, at, l) => v.getInt16(at, l)], u2: [2, (v, at, l) => v.getUint16(at, l)],
  i4: [4, (v, at, l) => v.getInt32(at, l)], u4: [4, (v, at, l) => v.getUint32(at, l)],
  i8: [8, (v, at, l) => Number(v.getBigInt64(at, l))], u8: [8, (v, at, l) => Number(v.getBigUint64(at, l))],
  f2: [2, (v, at, l) => half(v.getUint16(at, l))], f4: [4, (v, at, l) => v.getFloat32(at, l)], f8: [8, (v, at, l) => v.getFloat64(at, l)],
};

/** @param {number} bits of an IEEE 754 binary16 */
function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}

/**
 * @param {ArrayBuffer} buffer
 * @returns {NdArray}
 */
export function read(buffer) {
  const view = new DataView(buffer);
  if (buffer.byteLength < 12 || view.getUint32(0) !== 0x934e554d) throw new Error("this is no array");
  const wide = view.getUint8(6) >= 2;
  const length = wide ? view.getUint32(8, true) : view.getUint16(8, true);
  const start = (wide ? 12 : 10) + length;
  const header = new TextDecoder("latin1").decode(new Uint8Array(buffer, wide ? 12 : 10, length));
  const kind = /'descr':\s*'([<>|=])(\w+)'/.exec(header);
  const shape = /'shape':\s*\(([^)]*)\)/.exec(header);
  const reader = kind && READERS[kind[2]];
  if (!kind || !shape || !reader) throw new Error("this array is of a kind that cannot be shown");
  const sizes = shape[1].split(",").map((text) => text.trim()).filter(Boolean).map(Number);
  const count = sizes.reduce((a, b) => a * b, 1);
  const data = new Float64Array(count);
  const little = kind[1] !== ">";
  for (let i = 0; i < count; i++) data[i] = reader[1](view, start + i * reader[0], little);
  if (/'fortran_order':\s*True/.test(header) && sizes.length > 1) return { shape: sizes, data: reordered(data, sizes) };
  return { shape: sizes, data };
}

/**
 * From columns first to rows first.
 * @param {Float64Array} data
 * @param {number[]} shape
 */
function reordered(data, shape) {
  const found = new Float64Array(data.length);
  const index = shape.map(() => 0);
  for (let i = 0; i < data.length; i++) {
    let from = 0;
    for (let k = shape.length - 1; k >= 0; k--) from = from * shape[k] + index[k];
    found[i] = data[from];
    for (let k = shape.length - 1; k >= 0 && ++index[k] === shape[k]; k--) index[k] = 0;
  }
  return found;
}
