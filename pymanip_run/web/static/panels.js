// Alarms, parameters, tasks, events, and the lines above and below.

import * as api from "./api.js";
import { element, make, say, the } from "./dom.js";
import { age, clock, number, size, span, time, typed } from "./format.js";

/** @param {string} id @param {string} key @param {() => Node[]} build only called where something changed */
function rebuild(id, key, build) {
  const where = element(id);
  if (where.dataset.key === key) return;
  where.dataset.key = key;
  where.replaceChildren(...build());
}

/** @param {any} shown the snapshot @param {boolean} lost @param {boolean} over */
export function header(shown, lost, over) {
  say(element("title"), shown.title);
  document.title = `${lost ? "connection lost · " : ""}${shown.title}`;
  const state = element("state");
  const kind = lost ? "lost" : over ? "finished" : shown.state;
  state.className = `state ${kind}`;
  const why = shown.reason ? `: ${shown.reason}` : "";
  /** @type {Record<string, string>} */
  const words = {
    lost: "connection lost", finished: `finished${why}`, saved: "saved session", stopping: `stopping${why}`, running: "running",
  };
  say(state, words[kind] ?? kind);
  const badge = element("badge");
  badge.hidden = !shown.simulated;
  say(badge, "simulated");
  badge.title = `not measured: ${shown.simulated} only stood for the instruments`;
}

/** @param {any} shown @param {number} now @param {boolean} over */
export function progress(shown, now, over) {
  const parts = [];
  if (shown.started !== null && shown.state !== "saved") {
    const elapsed = now - shown.started;
    parts.push(shown.duration === null ? clock(elapsed) : `${clock(elapsed)} of ${clock(shown.duration)}`);
  }
  for (const sweep of shown.sweeps) {
    const total = sweep.total === null ? "" : `/${sweep.total}`;
    const left = sweep.remaining && !over ? `, ${span(Math.max(1, Math.round(sweep.remaining)))} left` : "";
    parts.push(`${sweep.name} ${sweep.done}${total}${left}`);
  }
  say(element("progress"), parts.join(" · "));
}

/** @param {any[]} alarms */
export function showAlarms(alarms) {
  const wrong = alarms.filter((a) => a.state !== "ok");
  element("alarms").hidden = alarms.length === 0;
  rebuild("alarm-rows", JSON.stringify(alarms.map((a) => [a.name, a.state, a.text])), () => {
    const shown = wrong.length ? wrong : [{ name: "all ok", text: alarms.map((a) => a.name).join(", "), state: "ok" }];
    return shown.map((a) => make("li", { class: `alarm-${a.state}` }, `${a.state === "active" ? "▲ " : ""}${a.name}: ${a.text}`));
  });
}

/** @param {Record<string, any>} parameters @param {boolean} control */
export function showParameters(parameters, control) {
  element("parameters").hidden = Object.keys(parameters).length === 0;
  const busy = element("parameter-rows").contains(document.activeElement) && document.activeElement instanceof HTMLInputElement;
  if (busy) return;
  rebuild("parameter-rows", JSON.stringify([parameters, control]), () => Object.entries(parameters).flatMap(([name, one]) => {
    const unit = one.unit ? ` ${one.unit}` : "";
    const limits = one.tunable ? ` (${number(one.tunable.min ?? -Infinity)} … ${number(one.tunable.max ?? Infinity)})` : "";
    const text = typeof one.value === "number" ? number(one.value) : String(one.value);
    const cell = one.tunable && control ? make("dd", {}, editor(name, one, unit + limits)) : make("dd", {}, text + unit + limits);
    return [make("dt", {}, name), cell];
  }));
}

/** @param {string} name @param {any} one @param {string} behind */
function editor(name, one, behind) {
  const input = make("input", { value: String(one.value), "aria-label": name, inputmode: "decimal" });
  const answer = make("span", { role: "status" });
  const form = make("form", {}, input, behind, make("button", { type: "submit" }, "Set"), answer);
  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    const value = typeof one.value === "number" ? typed(input.value) : typeof one.value === "boolean" ? input.value === "true" : input.value;
    try {
      await api.post(`parameters/${encodeURIComponent(name)}`, { value: Number.isNaN(value) ? input.value : value });
      say(answer, "set");
      input.blur();
    } catch (error) {
      say(answer, error instanceof Error ? error.message : "");
    }
  });
  return form;
}

/** @param {any[]} tasks @param {number} now */
export function showTasks(tasks, now) {
  element("tasks").hidden = tasks.length === 0;
  const rows = tasks.map((task) => [
    task.name, task.state, task.period ? span(task.period) : "", task.last === null ? "" : age(Math.max(0, now - task.last)),
    task.next === null ? "" : age(Math.max(0, task.next - now)), String(task.errors), String(task.missed),
  ]);
  const body = element("task-rows");
  while (body.children.length > rows.length) body.lastElementChild?.remove();
  rows.forEach((cells, i) => {
    const row = body.children[i] ?? body.appendChild(make("tr", {}, ...cells.map((_, k) => make("td", { class: k > 1 ? "number" : "" }))));
    cells.forEach((text, k) => say(row.children[k], text));
  });
}

/** @param {any[]} events the newest last */
export function showEvents(events) {
  rebuild("event-rows", JSON.stringify([events.length, events.at(-1)]), () => events.slice(-100).reverse().map((event) => {
    const what = event.kind === "note" ? "note" : event.kind === event.source || event.source === "run" ? event.kind : `${event.kind}, ${event.source}`;
    return make("li", { class: `kind-${event.kind.replace(/\W/g, "")}` }, make("time", {}, time(event.t)), `${what}: ${event.text}`);
  }));
}

/** @param {any} shown */
export function footer(shown) {
  const parts = [shown.file ?? "in memory"];
  if (shown.size !== null) parts.push(size(shown.size));
  if (shown.entries !== undefined) parts.push(`${shown.entries} entries`);
  if (shown.free !== null) parts.push(`${size(shown.free)} free`);
  parts.push(`pymanip-run ${shown.version}`);
  say(element("footer"), parts.join(" · "));
}

/**
 * The box for notes, and the button that stops.
 * @param {() => void} after
 */
export function forms(after) {
  const form = the("note-form", HTMLFormElement);
  const input = the("note", HTMLInputElement);
  const answer = element("note-answer");
  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    if (!input.value.trim()) return;
    try {
      const made = await api.post("notes", { text: input.value });
      say(answer, `noted at ${time(made.event.t)}`);
      input.value = "";
      after();
    } catch (error) {
      say(answer, error instanceof Error ? `not noted: ${error.message}` : "not noted");
    }
  });
  element("stop").addEventListener("click", async () => {
    const reason = prompt("Stop the run? Its tasks finish their present step. The reason, for the record:", "");
    if (reason !== null) await api.post("stop", reason.trim() ? { reason } : {}).catch((error) => alert(error.message));
  });
}
