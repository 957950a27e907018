"use strict";
// The whole page: ask for a list, show it, tell what was done with an item, ask again. Whatever comes from the server is
// put in as text, never as HTML.

const LENGTH = 10;
const byId = (id) => document.getElementById(id);
let shown = null; // the last answer
let secret = ""; // the API key, which the page forgets with its tab

async function call(path, body) {
  const headers = { "content-type": "application/json" };
  if (secret) headers.authorization = `Bearer ${secret}`;
  const answer = await fetch(path, body ? { method: "POST", headers, body: JSON.stringify(body) } : { headers });
  const content = await answer.json();
  byId("key").hidden = answer.status !== 401;
  if (!answer.ok) throw new Error(content.detail);
  return content;
}

function question(token) {
  const query = byId("query").value.trim();
  const wanted = { user_id: byId("user").value.trim(), n: LENGTH, explain: byId("why").open };
  if (token) wanted.min_freshness_token = token;
  return query ? { ...wanted, query, scenario: "search" } : wanted;
}

async function attempt(act, what) {
  byId("problem").textContent = "";
  const started = performance.now();
  try {
    const before = shown;
    shown = await act();
    const milliseconds = (performance.now() - started).toFixed(0);
    show(before);
    if (byId("why").open) await explain();
    byId("status").textContent = `${what}: ${milliseconds} ms${said(shown)}`;
  } catch (error) {
    byId("problem").textContent = error.message;
  }
}

function said(answer) {
  const model = answer.model ? `, model version ${answer.model.version}` : "";
  const missing = answer.degraded.length ? `, without ${answer.degraded.join(", ")}` : "";
  return model + missing;
}

const ask = () => attempt(() => call("/v1/recommendations", question()), "A list");

function tell(eventType, item) {
  return attempt(async () => {
    const event = { event_type: eventType, user_id: byId("user").value.trim(), item_id: item.item_id };
    const told = await call("/v1/events", { ...event, recommendation_id: shown.recommendation_id });
    return call("/v1/recommendations", question(told.freshness_token));
  }, `From your ${eventType} to the list that knows of it`);
}

function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

function show(before) {
  const ranks = new Map(before ? before.items.map((item) => [item.item_id, item.rank]) : []);
  byId("list").replaceChildren(...shown.items.map((item) => line(item, before && change(ranks.get(item.item_id), item))));
}

// What the platform believes about the user, and what counts at this moment.
async function explain() {
  const profile = await call(`/v1/users/${encodeURIComponent(shown.user_id)}/profile`);
  const ranked = shown.items.find((item) => item.explanation);
  byId("gate").textContent = ranked
    ? `Moment: ${ranked.explanation.moment}. The session counts a = ${percent(ranked.explanation.gate)}, what was before it ${percent(1 - ranked.explanation.gate)}.`
    : "No model had a say in this list.";
  const interests = profile.interests.map((interest) => `${interest.category} ${percent(interest.share)}`);
  byId("profile").textContent =
    `${profile.n_seen_items} items met, ${profile.n_events_in_session} events in this session. ` +
    `Interests: ${interests.join(", ") || "none yet"}.`;
}

const percent = (share) => `${(100 * share).toFixed(0)} %`;

function parts(item) {
  const said = item.explanation ? item.explanation.contributions : [];
  return [item.source, ...said.map((part) => `${part.part} ${part.contribution.toFixed(2)}`)].join(" · ");
}

function change(was, item) {
  if (was === undefined) return "new";
  return was === item.rank ? "" : `was ${was}`;
}

function line(item, moved) {
  const row = document.createElement("li");
  row.dataset.itemId = item.item_id;
  row.append(element("span", "title", item.title || item.item_id), element("span", "moved", moved || ""));
  row.append(element("div", "categories", item.categories.join(", ")), element("div", "reason", item.reason));
  if (byId("why").open) row.append(element("div", "parts", parts(item)));
  for (const [eventType, label] of [["click", "Look at it"], ["like", "Like"], ["hide", "Not for me"]]) {
    const button = element("button", eventType, label);
    button.addEventListener("click", () => tell(eventType, item));
    row.append(button, " ");
  }
  return row;
}

function become(userId) {
  byId("user").value = userId;
  history.replaceState(null, "", `?user=${encodeURIComponent(userId)}`);
  shown = null;
  return ask();
}

function on(id, kind, act) {
  byId(id).addEventListener(kind, (event) => {
    event.preventDefault();
    act();
  });
}

const stranger = () => `visitor-${Math.random().toString(36).slice(2, 10)}`;
on("who", "submit", () => become(byId("user").value.trim() || stranger()));
on("stranger", "click", () => become(stranger()));
on("what", "submit", ask);
on("home", "click", () => { byId("query").value = ""; ask(); });
byId("why").addEventListener("toggle", ask);
on("key", "submit", () => { secret = byId("secret").value.trim(); ask(); });
become(new URLSearchParams(location.search).get("user") || stranger());
