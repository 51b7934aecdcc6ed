// The page: asks the server, and lets each part show what came.

import * as api from "./api.js";
import { Datasets } from "./datasets.js";
import { element, say, the } from "./dom.js";
import * as panels from "./panels.js";
import { Plot } from "./plot.js";
import { Values } from "./values.js";

const POLL = 1000;
const SLOW = 5000;

/** @type {any} */
let shown = null;
let cursor = "";
let lost = false;
let over = false;
let clockOffset = 0;
let lastHeard = 0;
/** @type {Plot[]} */
let plots = [];
/** @type {Plot | null} */
let own = null;
/** @type {string[]} */
let chosen = [];
const values = new Values(choose);
const datasets = new Datasets();

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

/** Ask for everything but the series. */
async function look() {
  const answer = await api.get("snapshot");
  const first = shown === null;
  shown = { ...answer, firsts: shown?.firsts };
  clockOffset = answer.now - Date.now() / 1000;
  if (first) {
    cursor = answer.next;
    element("main").hidden = false;
    waitForEnd();
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

/** Ask for what is new since the last time; nothing is missed, however long that was. */
async function follow() {
  for (let more = true; more; ) {
    const answer = await api.get(`data?after=${encodeURIComponent(cursor)}`);
    cursor = answer.next;
    more = answer.more;
    for (const plot of allPlots()) plot.take(answer.series);
    values.remember(answer.series, false);
  }
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

/** Wait for the end of the run, which the server tells before it goes. */
async function waitForEnd() {
  while (shown && shown.state !== "saved" && !over) {
    try {
      const how = await api.get("state?wait=15");
      if (how.state === "finished") {
        await follow().catch(() => {});
        shown = { ...shown, now: now(), reason: how.reason };
        over = true;
        banner("The run has ended. The page stays as it was.");
        show();
        tick();
      }
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 2 * POLL));
    }
  }
}

/** @param {unknown} error */
function failed(error) {
  if (error instanceof api.Refused && error.status === 401) {
    askForToken(error.code === "wrong_token" ? error.message : "");
    return;
  }
  if (shown?.state === "stopping" && !(error instanceof api.Refused)) over = true;
  else if (!over) lost = true;
  const since = lastHeard ? ` since ${new Date(lastHeard).toLocaleTimeString()}` : "";
  const hint = error instanceof api.Refused ? `${error.message}. ${error.hint}` : "the computer, the network or the run is gone";
  banner(over ? "The run has ended. The page stays as it was." : `Connection lost${since}: ${hint}. What was there stays; the page tries again.`);
  show();
}

/** @param {string} text empty: none */
function banner(text) {
  const where = element("banner");
  where.hidden = text === "";
  say(where, text);
  document.body.classList.toggle("lost-connection", lost);
}

async function work() {
  let wait = POLL;
  try {
    await look();
    if (cursor) await follow();
    if (lost) for (const plot of allPlots()) plot.stale = true;
    if (over) waitForEnd();
    lost = false;
    over = false;
    lastHeard = Date.now();
    banner("");
    show();
    tick();
    if (document.hidden) wait = SLOW;
    if (shown.state === "saved") wait = SLOW;
  } catch (error) {
    if (error instanceof api.Refused && error.status === 410) location.reload();
    failed(error);
    if (error instanceof api.Refused && error.status === 401) return;
    wait = over ? SLOW : 2 * POLL;
  }
  setTimeout(work, wait);
}

/** @param {string} why */
function askForToken(why) {
  element("main").hidden = true;
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
    element("main").hidden = shown === null;
    work();
  } catch (error) {
    say(element("login-error"), error instanceof Error ? error.message : "");
  }
});

panels.forms(() => look().then(show, failed));
setInterval(tick, 1000);
for (const event of ["resize", "visibilitychange"]) window.addEventListener(event, () => allPlots().forEach((plot) => plot.draw()));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { tick(); allPlots().forEach((plot) => plot.draw()); });
api.logInByAddress().then(work, (error) => { askForToken(error instanceof Error ? error.message : ""); });
