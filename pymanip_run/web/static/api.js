// The server: questions, the login, and what may go wrong with both.

export class Refused extends Error {
  /** @param {number} status @param {string} code @param {string} message @param {string} hint */
  constructor(status, code, message, hint) {
    super(message);
    this.status = status;
    this.code = code;
    this.hint = hint;
  }
}

/**
 * @template T
 * @param {string} path
 * @param {(answer: Response) => Promise<T>} read takes the body; the time limit holds for it, too
 * @param {RequestInit} [options]
 * @returns {Promise<T>}
 */
async function ask(path, read, options = {}) {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(), 20000);
  try {
    const answer = await fetch(path, { ...options, signal: limit.signal, credentials: "same-origin", cache: "no-store" });
    if (answer.ok) return await read(answer);
    const error = await answer.json().then((content) => content.error, () => null);
    throw new Refused(answer.status, error?.code ?? "", error?.message ?? `the server answers ${answer.status}`, error?.hint ?? "");
  } finally {
    clearTimeout(timer);
  }
}

/** @param {string} path @returns {Promise<any>} */
export async function get(path) {
  return ask(`/api/v1/${path}`, async (answer) => bare(await answer.json()));
}

/**
 * Let what is kept by name have these names alone: a variable may be called `constructor`.
 * @param {any} content
 */
export function bare(content) {
  for (const part of ["values", "series", "variables", "parameters", "datasets"]) {
    const named = content?.[part];
    if (named && typeof named === "object") Object.setPrototypeOf(named, null);
  }
  return content;
}

/**
 * A file, the time (Unix seconds) of what is in it, and the shape of the whole array of which it is a part.
 * @param {string} path
 * @returns {Promise<{bytes: ArrayBuffer, t: number, shape: number[]}>}
 */
export async function file(path) {
  return ask(`/api/v1/${path}`, async (answer) => ({
    bytes: await answer.arrayBuffer(), t: Number(answer.headers.get("X-Timestamp")),
    shape: (answer.headers.get("X-Shape") ?? "").split(",").filter(Boolean).map(Number),
  }));
}

/** @param {string} path @param {object} content @returns {Promise<any>} */
export async function post(path, content) {
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) };
  return ask(path.startsWith("/") ? path : `/api/v1/${path}`, (answer) => answer.json(), options);
}

/** @param {string} token */
export function logIn(token) {
  return post("/login", { token });
}

/**
 * Use up the token in the address, so that it stays neither there nor in the history; tell whether there was one.
 * @returns {Promise<boolean>}
 */
export async function logInByAddress() {
  const token = new URLSearchParams(location.hash.slice(1)).get("t");
  if (token === null) return false;
  history.replaceState(null, "", location.pathname + location.search);
  await logIn(token);
  return true;
}

/**
 * A query of series.
 * @param {string[]} names
 * @param {Record<string, string | number | undefined>} options
 */
export function query(names, options) {
  const params = new URLSearchParams();
  for (const name of names) params.append("name", name);
  for (const [key, value] of Object.entries(options)) if (value !== undefined) params.set(key, String(value));
  return params.toString();
}
