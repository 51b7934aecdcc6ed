// Colours that people with any kind of colour vision tell apart (Okabe & Ito 2008), with dashes as well.

const LIGHT = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#9a6b00", "#3f8fc4", "#6b6b6b"];
const DARK = ["#56b4e9", "#ff9248", "#2fce9f", "#e69fc8", "#f0e442", "#8fb8ff", "#bdbdbd"];
const DASHES = [[], [7, 3], [2, 3], [9, 3, 2, 3]];

/**
 * @param {number} index of the series
 * @returns {{color: string, dash: number[]}}
 */
export function look(index) {
  const colors = matchMedia("(prefers-color-scheme: dark)").matches ? DARK : LIGHT;
  const place = index % colors.length;
  const round = Math.floor(index / colors.length);
  return { color: colors[place], dash: DASHES[(place + round) % DASHES.length] };
}

const VIRIDIS = [[68, 1, 84], [72, 40, 120], [62, 74, 137], [49, 104, 142], [38, 130, 142], [31, 158, 137], [53, 183, 121],
  [109, 205, 89], [180, 222, 44], [253, 231, 37]];
const GREY = [[0, 0, 0], [255, 255, 255]];
const COOLWARM = [[59, 76, 192], [141, 176, 254], [221, 221, 221], [244, 152, 122], [180, 4, 38]];
/** @type {Record<string, number[][]>} */
export const MAPS = { viridis: VIRIDIS, grey: GREY, "blue–red": COOLWARM };

/**
 * 256 colours of a map, as bytes red, green, blue.
 * @param {string} name
 * @returns {Uint8Array}
 */
export function table(name) {
  const stops = MAPS[name] ?? VIRIDIS;
  const found = new Uint8Array(768);
  for (let i = 0; i < 256; i++) {
    const place = (i / 255) * (stops.length - 1);
    const low = Math.min(Math.floor(place), stops.length - 2);
    for (let c = 0; c < 3; c++) {
      found[3 * i + c] = Math.round(stops[low][c] + (stops[low + 1][c] - stops[low][c]) * (place - low));
    }
  }
  return found;
}
