// The live page. Everything shown comes from the admin API and is set as text, never as markup.
"use strict";

const KEEP = 200;
const STEP_MS = 1000;
const TOKEN = "pointsman-admin-token";
const byId = (id) => document.getElementById(id);
let newest = null;
let timer = null;

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function row(cells, className) {
  const made = element("tr", null, className);
  for (const [text, kind] of cells) made.append(element("td", text, kind));
  return made;
}

const dollars = (text) => "$" + (text.replace(/0+$/, "").replace(/\.$/, "") || "0");
const clock = (at) => new Date(at * 1000).toLocaleTimeString();

async function ask(path) {
  const headers = { authorization: "Bearer " + sessionStorage.getItem(TOKEN) };
  const answer = await fetch("/api/v1/" + path, { headers, cache: "no-store" });
  const body = await answer.json();
  if (answer.status === 401) throw new Refused(body.error.message);
  if (!answer.ok) throw new Error(body.error ? body.error.message : answer.statusText);
  return body;
}

class Refused extends Error {}

function detail(one) {
  const cell = element("td");
  cell.colSpan = 6;
  const facts = element("dl");
  const say = (name, value) => {
    if (value === null || value === undefined || value === "") return;
    facts.append(element("dt", name), element("dd", String(value)));
  };
  say("Request", one.request_id);
  say("Path", one.path);
  say("Team, customer", [one.team, one.customer].filter(Boolean).join(", "));
  say("Strategy", one.strategy && `${one.strategy}, from ${one.source}`);
  say("Refused or failed", one.code && `${one.code}: ${one.message}`);
  say("Tokens", one.tokens_in === null ? null : `${one.tokens_in} in, ${one.tokens_out} out, ${one.tokens_cached} cached`);
  say("Took", `${(one.duration_us / 1000).toFixed(1)} ms, the gateway itself ${(one.gateway_us / 1000).toFixed(2)} ms`);
  say("Cost", dollars(one.cost_usd));
  cell.append(facts);
  if (one.attempts.length) {
    cell.append(element("strong", "Attempts, in order"));
    const list = element("ol");
    for (const attempt of one.attempts) {
      const took = (attempt.duration_us / 1000).toFixed(1);
      const cost = `${attempt.cost_nano} nano-dollars by ${attempt.usage_source}`;
      const said = attempt.message ? `: ${attempt.message}` : "";
      const text = `${attempt.provider}/${attempt.model} (key ${attempt.key}): ${attempt.outcome}${said}; ${took} ms, ${cost}`;
      list.append(element("li", text, attempt.outcome === "ok" ? "good" : "bad"));
    }
    cell.append(list);
  }
  if (one.verdicts.length) {
    cell.append(element("strong", "Left out, and why"));
    const list = element("ul");
    for (const verdict of one.verdicts) list.append(element("li", verdict));
    cell.append(list);
  }
  const made = element("tr", null, "detail");
  made.append(cell);
  return made;
}

async function toggle(line, id) {
  if (line.nextSibling && line.nextSibling.classList.contains("detail")) {
    line.nextSibling.remove();
    line.setAttribute("aria-expanded", "false");
    return;
  }
  line.after(detail(await ask("requests/" + encodeURIComponent(id))));
  line.setAttribute("aria-expanded", "true");
}

function showRequests(found) {
  const body = byId("requests").tBodies[0];
  for (const one of found.reverse()) {
    newest = one.request_id;
    const bad = one.status === 0 || one.status >= 400;
    const line = row([
      [clock(one.at)], [one.virtual_key], [one.model], [one.provider],
      [one.status || "worker died", bad ? "bad" : "good"], [dollars(one.cost_usd), "number"],
    ], "request");
    line.tabIndex = 0;
    line.setAttribute("aria-expanded", "false");
    line.addEventListener("click", () => toggle(line, one.request_id).catch(failed));
    line.addEventListener("keydown", (event) => { if (event.key === "Enter") line.click(); });
    body.prepend(line);
  }
  while (body.rows.length > KEEP) body.lastChild.remove();
}

function showMoney(usage) {
  const rows = usage.rows.sort((a, b) => b.cost_nano - a.cost_nano);
  const total = rows.reduce((sum, one) => sum + one.cost_nano, 0);
  const unsettled = rows.reduce((sum, one) => sum + one.unsettled_nano, 0);
  const unpriced = rows.reduce((sum, one) => sum + one.unpriced, 0);
  byId("total").textContent = "Spent " + dollars((total / 1e9).toFixed(9)) +
    (unsettled ? `, of it ${dollars((unsettled / 1e9).toFixed(9))} reserved by attempts whose outcome is unknown` : "") +
    (unpriced ? `; ${unpriced} attempts have no known price` : "");
  byId("money").tBodies[0].replaceChildren(...rows.slice(0, 50).map((one) => row([
    [one.key], [one.model], [one.attempts, "number"], [one.tokens_in, "number"], [one.tokens_out, "number"],
    [dollars(one.cost_usd), "number"],
  ])));
}

function showLimits(limits) {
  const amount = (one, value) => one.metric === "usd" ? dollars((value / 1e9).toFixed(9)) : `${value} ${one.metric}`;
  byId("limits").tBodies[0].replaceChildren(...limits.filter((one) => one.limit !== null).slice(0, 100).map((one) => {
    const line = row([[one.owner], [one.period], [amount(one, one.posted), "number"], [amount(one, one.limit), "number"]]);
    const meter = element("meter");
    meter.max = one.limit;
    meter.high = one.limit * 0.9;
    meter.value = one.posted;
    const cell = element("td");
    cell.append(meter);
    line.append(cell);
    return line;
  }));
}

function failed(error) {
  if (error instanceof Refused) {
    leave();
    byId("refused").textContent = error.message;
  } else {
    byId("state").textContent = error.message;
    byId("state").className = "bad";
  }
}

async function step() {
  const after = newest ? "&after=" + encodeURIComponent(newest) : "";
  const [found, usage, limits, status] = await Promise.all([
    ask("requests?limit=100" + after), ask("usage?group_by=key&group_by=model"), ask("budgets"), ask("status"),
  ]);
  showRequests(found);
  showMoney(usage);
  showLimits(limits);
  const state = byId("state");
  state.className = status.store === "ok" ? "" : "bad";
  state.textContent = `${status.workers.length} worker(s), configuration ${status.digest.slice(0, 12)}, ` +
    (status.store === "ok" ? "store works" : "store: " + status.store);
}

async function live() {
  byId("login").hidden = true;
  byId("live").hidden = byId("leave").hidden = false;
  try {
    await step();
  } catch (error) {
    failed(error);
  }
  if (sessionStorage.getItem(TOKEN)) timer = setTimeout(live, STEP_MS);
}

function leave() {
  clearTimeout(timer);
  sessionStorage.removeItem(TOKEN);
  newest = null;
  byId("requests").tBodies[0].replaceChildren();
  byId("live").hidden = byId("leave").hidden = true;
  byId("login").hidden = false;
}

byId("leave").addEventListener("click", leave);
byId("login").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, byId("token").value.trim());
  byId("token").value = byId("refused").textContent = "";
  live();
});
if (sessionStorage.getItem(TOKEN)) live(); else leave();
