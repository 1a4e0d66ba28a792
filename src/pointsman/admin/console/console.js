// The live page. Everything shown comes from the admin API and is set as text, never as markup.
"use strict";

const KEEP = 200;
const STEP_MS = 1000;
const SUMS_MS = 3000; // sums and limits change slowly, and are more expensive to query
const TOKEN = "pointsman-admin-token";
const byId = (id) => document.getElementById(id);
const shown = new Map(); // rows by request id
let timer = null;
let sumsAt = -Infinity;
let session = 0; // responses to requests of an ended session are dropped
let me = null; // the caller, with its permissions; a user has a session in a cookie that this page cannot read

class Unauthorized extends Error {}

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined && text !== null) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function row(cells, className) {
  const made = element("tr", null, className);
  for (const [content, kind] of cells) {
    const cell = element("td", content instanceof Node ? null : content, kind);
    if (content instanceof Node) cell.append(content);
    made.append(cell);
  }
  return made;
}

// Nano-dollars as dollars, without rounding.
function dollars(nano) {
  const value = BigInt(nano);
  const whole = value / 1000000000n;
  const rest = String(value % 1000000000n).padStart(9, "0").replace(/0+$/, "").padEnd(2, "0");
  return "$" + whole.toLocaleString("en-US") + "." + rest;
}

// The parts of a cost that no provider reported.
function known(one) {
  const parts = ["estimated", "reserved"].filter((part) => one[part + "_nano"]);
  return parts.length ? ` (${parts.join(" and ")})` : "";
}

// A cost as a cell of a table. Each part has a line of its own, so that the column stays narrow.
function split(one) {
  const made = element("span", dollars(one.cost_nano));
  for (const part of ["estimated", "reserved"]) {
    if (one[part + "_nano"]) made.append(element("small", `${dollars(one[part + "_nano"])} ${part}`));
  }
  return made;
}

const many = (number) => number.toLocaleString("en-US");
const clock = (at) => new Date(at * 1000).toLocaleTimeString([], { hour12: false });
const milliseconds = (us) => (us / 1000 < 10 ? (us / 1000).toFixed(2) : many(Math.round(us / 1000))) + " ms";

async function ask(path) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = token ? { authorization: "Bearer " + token } : {};
  return decoded(await fetch("/api/v1/" + path, { headers, cache: "no-store" }));
}

async function send(path, data) {
  const headers = { "content-type": "application/json", "x-pointsman-csrf": (me && me.csrf) || "" };
  return decoded(await fetch("/api/v1/" + path, { method: "POST", headers, body: JSON.stringify(data) }));
}

async function decoded(answer) {
  const body = await answer.json();
  if (answer.status === 401) throw new Unauthorized(body.detail);
  if (!answer.ok) throw new Error(body.detail || answer.statusText);
  return body;
}

function status(one) {
  const isBad = one.status === 0 || one.status >= 500;
  const kind = isBad ? "bad" : one.status >= 400 ? "warm" : "good";
  return element("span", one.status || "worker died", "pill " + kind);
}

// One request, opened.

function detail(one) {
  const cell = element("td");
  cell.colSpan = 6;
  cell.append(facts(one));
  if (one.attempts.length) {
    const made = element("div", null, "scroll");
    made.append(attempts(one.attempts));
    cell.append(element("h3", "Attempts, in order"), made);
  }
  if (one.verdicts.length) {
    const list = element("ul");
    for (const verdict of one.verdicts) list.append(element("li", verdict));
    cell.append(element("h3", "Candidates excluded or changed, with reasons"), list);
  }
  const made = element("tr", null, "detail");
  made.append(cell);
  return made;
}

function facts(one) {
  const list = element("dl");
  const add = (name, value) => {
    if (value) list.append(element("dt", name), element("dd", String(value)));
  };
  add("Request", one.request_id);
  add("Path", one.path + (one.stream ? ", streamed" : ""));
  add("Team, customer", [one.team, one.customer].filter(Boolean).join(", "));
  add("Strategy", one.strategy && one.strategy + (one.source ? `, from ${one.source}` : ""));
  add("Variant", one.variant);
  add("Error", one.code && `${one.code}: ${one.message}`);
  if (one.tokens_in !== null) add("Tokens", `${many(one.tokens_in)} in (${many(one.tokens_cached)} cached), ${many(one.tokens_out)} out`);
  add("Duration", `${milliseconds(one.duration_us)}, including ${milliseconds(one.gateway_us)} in the gateway`);
  add("Cost", dollars(one.cost_nano) + known(one));
  add("Client", one.client);
  add("Client's request id", one.client_request_id);
  if (one.client_retries !== "0") add("Client's retry", one.client_retries);
  add("Session", one.session);
  add("Agent", one.agent);
  add("Agent that started it", one.parent_agent);
  add("Tags", Object.entries(one.tags).map(([name, value]) => `${name}=${value}`).join(", "));
  return list;
}

function attempts(made) {
  const table = element("table");
  const head = table.createTHead().insertRow();
  for (const name of ["", "Provider", "Model", "Key", "Outcome", "Duration", "Tokens", "Cost"]) head.append(element("th", name));
  const body = table.createTBody();
  made.forEach((one, index) => {
    const outcome = element("span");
    outcome.append(element("span", one.outcome, "pill " + (one.outcome === "ok" ? "good" : "bad")));
    if (one.message) outcome.append(" " + one.message);
    if (one.events_left_out) outcome.append(` (events omitted: ${one.events_left_out})`);
    body.append(row([
      [index + 1, "soft"], [one.provider], [one.model], [one.key], [outcome, "wide"], [milliseconds(one.duration_us)],
      [`${many(one.tokens_in)} in, ${many(one.tokens_out)} out`], [`${dollars(one.cost_nano)} (${one.usage_source}${one.held_nano ? `, ${dollars(one.held_nano)} more held` : ""})`],
    ]));
  });
  return table;
}

async function toggle(line, id) {
  const isOpen = line.getAttribute("aria-expanded") === "true";
  line.setAttribute("aria-expanded", String(!isOpen));
  if (isOpen) {
    if (line.nextSibling && line.nextSibling.classList.contains("detail")) line.nextSibling.remove();
    return;
  }
  const found = await ask("requests/" + encodeURIComponent(id));
  if (line.getAttribute("aria-expanded") === "true" && line.isConnected) {
    if (!line.nextSibling || !line.nextSibling.classList.contains("detail")) line.after(detail(found));
  }
}

// The tables.

function showRequests(found) {
  const body = byId("requests").tBodies[0];
  const isFirst = shown.size === 0;
  // A long request may arrive after others that began later, so rows are sorted by their ids.
  for (const one of found) {
    if (shown.has(one.request_id)) continue;
    const line = row([
      [clock(one.at), "time"], [one.virtual_key || "–"], [one.model], [one.provider || "–"], [status(one)],
      [dollars(one.cost_nano) + known(one), "number"],
    ], isFirst ? "request" : "request new");
    line.dataset.id = one.request_id;
    line.tabIndex = 0;
    line.setAttribute("aria-expanded", "false");
    line.addEventListener("click", () => toggle(line, one.request_id).catch(failed));
    line.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      line.click();
    });
    shown.set(one.request_id, line);
    const older = [...body.querySelectorAll("tr.request")].find((other) => other.dataset.id < one.request_id);
    body.insertBefore(line, older || null);
  }
  const lines = body.querySelectorAll("tr.request");
  for (const line of [...lines].slice(KEEP)) {
    if (line.nextSibling && line.nextSibling.classList.contains("detail")) line.nextSibling.remove();
    shown.delete(line.dataset.id);
    line.remove();
  }
  empty("requests", lines.length === 0);
}

function showMoney(usage) {
  const rows = usage.rows.sort((a, b) => (BigInt(b.cost_nano) > BigInt(a.cost_nano) ? 1 : -1));
  const total = usage.total || { attempts: 0, failures: 0, cost_nano: 0, tokens_in: 0, tokens_out: 0 };
  const figures = [
    [dollars(total.cost_nano), "spent in 30 days"],
    [many(total.attempts), "attempts at providers"],
    [total.attempts ? ((total.failures * 100) / total.attempts).toFixed(1) + " %" : "–", "of attempts failed"],
    [many(total.tokens_in) + " / " + many(total.tokens_out), "tokens in / out"],
  ];
  if (total.estimated_nano) figures.push([dollars(total.estimated_nano), "of it from estimates"]);
  if (total.reserved_nano) figures.push([dollars(total.reserved_nano), "of it from reservations, as no usage was reported"]);
  if (total.held_nano) figures.push([dollars(total.held_nano), "more held by budgets until reconciled"]);
  if (total.unpriced) figures.push([many(total.unpriced), "attempts without a known price"]);
  byId("figures").replaceChildren(...figures.map(([value, name]) => {
    const made = element("div", null, "figure");
    made.append(element("b", value), element("span", name));
    return made;
  }));
  byId("money").tBodies[0].replaceChildren(...rows.slice(0, 50).map((one) => row([
    [one.key || "–"], [one.model], [many(one.attempts), "number"], [many(one.tokens_in), "number"],
    [many(one.tokens_out), "number"], [split(one), "number"],
  ])));
  empty("money", rows.length === 0);
}

function showLimits(limits) {
  const used = limits.filter((one) => one.limit !== null).map((one) => ({ ...one, part: one.posted / one.limit }));
  used.sort((a, b) => b.part - a.part);
  const amount = (one, value) => (one.metric === "usd" ? dollars(value) : many(value));
  byId("limits").tBodies[0].replaceChildren(...used.slice(0, 50).map((one) => {
    const bar = element("progress", null, one.part >= 1 ? "full" : one.part >= 0.9 ? "warm" : "");
    bar.max = 1;
    bar.value = Math.min(1, one.part);
    bar.title = (one.part * 100).toFixed(1) + " %";
    bar.setAttribute("aria-label", bar.title);
    const unit = one.metric === "usd" ? "" : " " + one.metric;
    const limit = `${amount(one, one.limit)}${unit} per ${one.period}${one.soft ? ", soft" : ""}`;
    return row([[one.owner.replace(":", " ").replace("_", " ")], [limit], [amount(one, one.posted), "number"], [bar, "bar"]]);
  }));
  empty("limits", used.length === 0);
}

const HEALTH_KIND = { failed: "bad", recovering: "warm", degraded: "warm", healthy: "good" };

function showHealth(health) {
  const holds = health.holds.map((one) => {
    const until = one.until ? ` until ${new Date(one.until * 1000).toLocaleString()}` : "";
    const order = element("span", one.effect === "out" ? "held out" : "forced in", "pill warm");
    return row([[one.name], [""], [""], [order], [clock(one.at), "time"], [(one.reason || "an operator's order") + until], ["all", "number"]]);
  });
  const states = health.states.slice(0, 50).map((one) => {
    const model = one.operation && one.operation !== "chat" ? `${one.model} (${one.operation})` : one.model;
    const counts = Object.entries(one.workers).map(([state, number]) => `${number} ${state}`).join(", ");
    const state = element("span", one.state, "pill " + (HEALTH_KIND[one.state] || "warm"));
    return row([[one.provider], [model === "*" ? "all" : model], [one.key || "–"], [state], [clock(one.since), "time"], [one.reason], [counts, "number"]]);
  });
  byId("health").tBodies[0].replaceChildren(...holds, ...states);
  empty("health", holds.length + states.length === 0);
}

function empty(id, isEmpty) {
  const table = byId(id);
  table.hidden = isEmpty;
  table.closest("section").querySelector(".empty").hidden = !isEmpty;
}

function showState(found) {
  const errors = found.config_refused || [];
  const isWell = found.store === "ok" && found.workers.length > 0 && !errors.length;
  const state = byId("state");
  state.className = isWell ? "" : "bad";
  const workers = found.workers.length === 1 ? "1 worker" : `${found.workers.length} workers`;
  state.textContent = `${workers}, configuration ${found.digest.slice(0, 12)}` +
    (errors.length ? `; the configuration on disk was rejected, and this one stays in force: ${errors.join("; ")}` : "") +
    (found.store === "ok" ? "" : `; the store is unavailable, and spending stays in the journals: ${found.store}`);
}

// The page's life: log in, poll, log out.

function failed(error) {
  if (error instanceof Unauthorized) {
    const wasKnown = me || sessionStorage.getItem(TOKEN); // else nobody has logged in yet
    logOut();
    byId("login-error").textContent = wasKnown ? error.message : "";
    return;
  }
  byId("state").textContent = error instanceof TypeError ? "the gateway does not answer" : error.message;
  byId("state").className = "bad";
}

async function step() {
  const mine = session;
  const withSums = performance.now() - sumsAt >= SUMS_MS;
  // The parts that the caller may see. Some have no rows outside of the caller's scope, and are left out then.
  const parts = [["status", "status", showState, "*"], ["requests", "requests?limit=100", showRequests]];
  if (withSums) parts.push(["usage", "usage?group_by=key&group_by=model", showMoney], ["budgets", "budgets", showLimits], ["status", "health", showHealth, "*"]);
  const allowed = parts.filter(([resource, , , scope]) => may(resource + ":read", scope));
  const answers = await Promise.all(allowed.map(([, path]) => ask(path)));
  if (mine !== session) return;
  allowed.forEach(([, , show], index) => show(answers[index]));
  if (!may("status:read", "*")) byId("state").textContent = me.label || me.name;
  if (withSums) sumsAt = performance.now();
}

function may(permission, scope) {
  const scopes = me.permissions[permission] || [];
  return scope ? scopes.includes(scope) : scopes.length > 0;
}

async function live() {
  clearTimeout(timer);
  const mine = session;
  try {
    if (!me) me = await ask("me");
    if (mine !== session) return;
    byId("login").hidden = true;
    byId("live").hidden = byId("log-out").hidden = false;
    if (!document.hidden) await step();
  } catch (error) {
    if (mine === session) failed(error);
  }
  if (mine === session && (me || sessionStorage.getItem(TOKEN))) timer = setTimeout(live, STEP_MS);
}

function logOut() {
  clearTimeout(timer);
  session += 1;
  me = null;
  sessionStorage.removeItem(TOKEN);
  shown.clear();
  sumsAt = -Infinity;
  for (const id of ["requests", "money", "limits", "health"]) byId(id).tBodies[0].replaceChildren();
  byId("figures").replaceChildren();
  byId("state").textContent = "";
  byId("live").hidden = byId("log-out").hidden = true;
  byId("login").hidden = false;
  byId("token").focus();
}

async function endSession() {
  try {
    const ended = me && me.csrf ? await send("logout", {}) : {};
    logOut();
    if (ended.next) location.assign(ended.next);
  } catch (error) {
    failed(error);
  }
}

// The ways to log in: a password, identity providers, and the admin token.
async function showWays() {
  try {
    const ways = await ask("login");
    byId("people").hidden = !ways.password;
    byId("providers").replaceChildren(...ways.providers.map((name) => {
      const link = element("a", `Log in with ${name}`, "button");
      link.href = "/api/v1/login/" + encodeURIComponent(name);
      return link;
    }));
  } catch (error) {
    byId("login-error").textContent = error.message; // the admin token works without the store
  }
}

async function logIn() {
  const data = { name: byId("name").value, password: byId("password").value, code: byId("code").value.trim() };
  try {
    await send("login", data);
  } catch (error) {
    byId("login-error").textContent = error.message;
    return;
  }
  byId("password").value = byId("code").value = "";
  live();
}

byId("log-out").addEventListener("click", endSession);
byId("login").addEventListener("submit", (event) => {
  event.preventDefault();
  session += 1;
  me = null;
  byId("login-error").textContent = "";
  const token = byId("token").value.trim();
  byId("token").value = "";
  if (!token && byId("name").value) {
    sessionStorage.removeItem(TOKEN);
    logIn();
    return;
  }
  sessionStorage.setItem(TOKEN, token);
  live();
});
showWays();
live();
