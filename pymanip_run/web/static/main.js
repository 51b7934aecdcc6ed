// The page: asks the server, and lets each part show what came.

import * as api from "./api.js";
import { Datasets } from "./datasets.js";
import { element, say, the } from "./dom.js";
import { Live } from "./live.js";
import * as panels from "./panels.js";
import { Plot } from "./plot.js";
import { Values } from "./values.js";

//: Without the live stream the server is asked once a second, and answers at once when the run ends.
const POLL = 1000;
//: With it only for what the stream does not tell: when tasks are due, sizes, new records.
const BESIDE = 2000;
const SLOW = 5000;
//: The page changes at most so often, whatever the run logs.
const PAINT = 500;
//: After a longer gap the page begins anew instead of asking for each value in between.
const GAP = 60000;
const OVER = "The run has ended. The page stays as it was.";

/** @type {any} */
let shown = null;
let cursor = "";
let lost = false;
let over = false;
let clockOffset = 0;
let lastHeard = 0;
/** Why the token in the address did not let in: it matters only where one is needed. */
let refusal = "";
let working = false;
let painting = false;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let planned = undefined;
let plannedAt = Infinity;
/** @type {Plot[]} */
let plots = [];
/** @type {Plot | null} */
let own = null;
/** @type {string[]} */
let chosen = [];
const values = new Values(choose);
const datasets = new Datasets();
const live = new Live(told, () => plan(over ? SLOW : 0));

function now() {
  if (shown === null) return Date.now() / 1000;
  return over || shown.state === "saved" ? shown.now : Date.now() / 1000 + clockOffset;
}

function extent() {
  const firsts = Object.values(shown?.firsts ?? {});
  const started = firsts.length ? Math.min(...firsts) : (shown?.started ?? now() - 60);
  return { first: started, now: now() };
}

/** @param {string} name */
function variable(name) {
  const one = shown?.values[name];
  return { name, label: one?.label ?? name, unit: one?.unit ?? null, format: one?.format ?? null, known: one !== undefined };
}

/**
 * Show a variable in the plot that belongs to the user, or take it out again.
 * @param {string} name
 */
function choose(name) {
  chosen = chosen.includes(name) ? chosen.filter((one) => one !== name) : [...chosen, name];
  remake();
}

function remake() {
  own?.root.remove();
  own = null;
  if (chosen.length) {
    own = new Plot({ title: null, variables: chosen, x: null, y: null, scale: "linear", window: null }, variable, extent, () => { chosen = []; remake(); });
    element("plots").prepend(own.root);
    own.chart.marks = marks();
    own.refresh().catch(() => {});
  }
  values.mark(new Set(chosen));
}

function marks() {
  return (shown?.events ?? []).filter((/** @type {any} */ e) => ["note", "alarm", "error", "control"].includes(e.kind));
}

function buildPlots() {
  const names = Object.keys(shown.values);
  let wanted = shown.plots;
  const path = /^\/plot\/(.+)$/.exec(location.pathname);
  if (path) wanted = [{ title: null, variables: [decodeURIComponent(path[1])], x: null, y: null, scale: "linear", window: null }];
  else if (!wanted.length && names.length) wanted = byUnit(names);
  plots = wanted.map((/** @type {any} */ one) => new Plot(one, variable, extent, null));
  element("plots").append(...plots.map((plot) => plot.root));
}

/**
 * Without plots of the experiment: the first variables, those of one unit together.
 * @param {string[]} names
 */
function byUnit(names) {
  /** @type {Map<string, string[]>} */
  const groups = new Map();
  for (const name of names.slice(0, 8)) {
    const unit = shown.values[name].unit ?? `\u0000${name}`;
    groups.set(unit, [...(groups.get(unit) ?? []), name]);
  }
  return [...groups.values()].slice(0, 3).map((variables) => ({ title: null, variables, x: null, y: null, scale: "linear", window: null }));
}

/**
 * Ask for everything but the series.
 * @param {boolean} anew whether what came meanwhile is skipped
 */
async function look(anew) {
  const wasOver = over;
  const answer = await api.get("snapshot");
  if (over && !wasOver) return;
  const first = shown === null;
  shown = { ...answer, firsts: shown?.firsts };
  clockOffset = answer.now - Date.now() / 1000;
  if (first || anew) cursor = answer.next;
  if (first) {
    element("main").hidden = false;
    if (matchMedia("(max-width: 480px)").matches) for (const part of document.querySelectorAll("details")) part.open = false;
    await learnFirsts();
  }
  if (!plots.length && Object.keys(answer.values).length) {
    buildPlots();
    await Promise.all(plots.map((plot) => plot.refresh()));
    learnSparks().catch(() => {});
  }
}

async function learnFirsts() {
  const known = await api.get("variables");
  shown.firsts = Object.fromEntries(Object.entries(known.variables).filter(([, v]) => v.first).map(([name, v]) => [name, v.first[0]]));
}

async function learnSparks() {
  const names = Object.keys(shown.values).slice(0, 100);
  const answer = await api.get(`data?${api.query(names, { agg: "mean", points: 60, since: now() - 600 })}`);
  values.remember(answer.series, true);
  values.drawSparks(now(), extent().first);
}

/** Ask for what is new since the last time, and whether the run has ended; wait for the one or the other. */
async function follow() {
  const wait = shown.state === "saved" || document.hidden ? 0 : POLL / 1000;
  const answer = await api.get(`state?wait=${wait}&after=${encodeURIComponent(cursor)}`);
  take(answer);
  for (let more = answer.more; more; ) {
    const page = await api.get(`data?after=${encodeURIComponent(cursor)}`);
    more = page.more;
    take(page);
  }
  if (answer.state === "finished") ended(answer.reason);
}

/**
 * Show series that are new.
 * @param {any} answer
 */
function take(answer) {
  cursor = answer.next;
  for (const plot of allPlots()) plot.take(answer.series);
  values.remember(answer.series, false);
}

/**
 * A message of the live stream.
 * @param {import("./live.js").Message} message
 */
function told(message) {
  lastHeard = Date.now();
  if (message.type === "entry") {
    take(message);
    if (values.update(shown, message)) plan(0);
    paint();
    return;
  }
  cursor = message.next;
  if (message.type === "state" && message.state === "finished") ended(message.reason);
  else if (message.type === "state" || message.type === "hello") {
    shown.state = message.state;
    shown.reason = message.reason;
    paint();
  } else if (message.type === "task") {
    const one = shown.tasks.find((/** @type {any} */ task) => task.name === message.name);
    if (one) Object.assign(one, { state: message.state, last: message.last, next: message.next, errors: message.errors });
    else plan(PAINT);
  } else plan(PAINT);
}

/** Draw what has changed, but not each time that something has. */
function paint() {
  if (painting) return;
  painting = true;
  setTimeout(() => {
    painting = false;
    show();
    tick();
  }, PAINT);
}

/** @param {string | null} reason */
function ended(reason) {
  shown = { ...shown, now: now(), reason };
  over = true;
  lost = false;
  banner(OVER);
  show();
  tick();
}

function allPlots() {
  return own ? [own, ...plots] : plots;
}

function show() {
  if (shown === null) return;
  panels.header(shown, lost, over);
  panels.progress(shown, now(), over);
  values.show(shown.values, shown.nonfinite);
  values.mark(new Set(chosen));
  panels.showAlarms(shown.alarms);
  panels.showParameters(shown.parameters, shown.control && !over);
  panels.showEvents(shown.events);
  panels.footer(shown);
  element("stop").hidden = !shown.control || over || shown.state !== "running";
  element("notes").hidden = shown.state === "saved";
  element("file").hidden = shown.file === null;
  datasets.update(shown.datasets);
  const found = marks();
  for (const plot of allPlots()) plot.chart.marks = found;
}

function tick() {
  if (shown === null) return;
  panels.progress(shown, now(), over);
  panels.showTasks(over ? shown.tasks.map((/** @type {any} */ t) => ({ ...t, next: null })) : shown.tasks, now());
  values.tick(now(), shown.state !== "saved");
  values.drawSparks(now(), extent().first);
  if (!over && shown.state !== "saved") for (const plot of allPlots()) plot.draw();
}

/**
 * Say what went wrong; return after which time (ms) to try again, null: not before the user did something.
 * @param {unknown} error
 */
function failed(error) {
  live.close();
  if (error instanceof api.Refused && error.status === 401) return shutOut();
  if (error instanceof api.Refused && error.status === 410) location.reload();
  if (shown?.state === "stopping" && !(error instanceof api.Refused)) over = true;
  else if (!over) lost = true;
  const since = lastHeard ? ` since ${new Date(lastHeard).toLocaleTimeString()}` : "";
  const hint = error instanceof api.Refused ? `${error.message}. ${error.hint}` : "the computer, the network or the run is gone";
  banner(over ? OVER : `Connection lost${since}: ${hint}. What was there stays; the page tries again.`);
  show();
  return over ? SLOW : 2 * POLL;
}

/** The token is another one by now, or a server of another session is here: what the page has stays. */
function shutOut() {
  if (over) {
    banner(`${OVER} Another session is at this address now: its link opens it.`);
    return SLOW;
  }
  askForToken(refusal);
  if (shown === null) return null;
  lost = true;
  banner("Connection lost: the token was changed, or another session is at this address now. What was there stays.");
  show();
  return null;
}

/** @param {string} text empty: none */
function banner(text) {
  const where = element("banner");
  where.hidden = text === "";
  say(where, text);
  document.body.classList.toggle("lost-connection", lost);
}

/**
 * Look again after a time, or sooner if that was planned already.
 * @param {number} wait ms
 */
function plan(wait) {
  const at = performance.now() + wait;
  if (at >= plannedAt) return;
  clearTimeout(planned);
  plannedAt = at;
  if (!working) planned = setTimeout(work, wait);
}

async function work() {
  clearTimeout(planned);
  if (working) return;
  working = true;
  plannedAt = Infinity;
  const wait = await worked().catch(failed);
  working = false;
  const sooner = plannedAt - performance.now(); // planned by what came meanwhile
  plannedAt = Infinity;
  if (wait !== null) plan(Math.max(0, Math.min(wait, sooner)));
}

/** Look once; return after which time (ms) to look again. */
async function worked() {
  const wasOver = over;
  const anew = lastHeard > 0 && Date.now() - lastHeard > GAP;
  const back = lost || anew;
  await look(anew);
  if (wasOver && shown.state !== "saved") over = false; // another run of this session
  else if (over) return SLOW; // it ended while the server was asked: what came is from before
  const isSaved = shown.state === "saved";
  if (!isSaved) live.connect(cursor);
  lost = false;
  lastHeard = Date.now();
  banner("");
  show();
  tick();
  if (back) {
    for (const plot of allPlots()) plot.refresh().catch(() => {});
    if (anew) learnSparks().catch(() => {});
  }
  if (!live.open) await follow();
  if (isSaved || document.hidden || over) return SLOW;
  return live.open ? BESIDE : 0;
}

/** @param {string} why */
function askForToken(why) {
  element("login").hidden = false;
  say(element("login-error"), why);
  the("token", HTMLInputElement).focus();
}

the("login", HTMLFormElement).addEventListener("submit", async (e) => {
  e.preventDefault();
  try {
    await api.logIn(the("token", HTMLInputElement).value);
    the("token", HTMLInputElement).value = "";
    element("login").hidden = true;
    work();
  } catch (error) {
    say(element("login-error"), error instanceof Error ? error.message : "");
  }
});

panels.forms(() => look(false).then(show, failed));
setInterval(tick, 1000);
for (const event of ["resize", "visibilitychange"]) window.addEventListener(event, () => allPlots().forEach((plot) => plot.draw()));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { tick(); allPlots().forEach((plot) => plot.draw()); });
/** @param {unknown} error of the login by the address */
function tryWithout(error) {
  refusal = error instanceof Error ? error.message : "";
  work();
}

window.addEventListener("hashchange", () => api.logInByAddress().then((isIn) => { if (isIn) location.reload(); }, tryWithout));
api.logInByAddress().then(work, tryWithout);
