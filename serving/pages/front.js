"use strict";
// The whole page: ask what was seen last, show it, ask again while somebody looks. Whatever comes from the server is put
// in as text, never as HTML. Plots are drawn from the same numbers that stand beside them.

const EVERY_MS = 10_000;
const SOON_MS = 700; // somebody is just looking at the platform
const BASELINES = 5;
const WIDTH = 420;
const byId = (id) => document.getElementById(id);

function element(name, attributes, ...content) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...content);
  return made;
}

function svg(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function plot(height, says, shapes) {
  const made = svg("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": says });
  made.append(...shapes);
  return made;
}

const line = (text, kind) => element("p", kind ? { class: kind } : {}, text);
const big = (text) => line(text, "big");
const figure = (value) => value.toFixed(4).replace(/^0/, "");
const count = (value) => value.toLocaleString("en");
const date = (text) => new Date(text).toLocaleString("sv").slice(0, 16); // 2026-01-31 12:00, in the reader's zone

function ago(text, now) {
  const seconds = (now - new Date(text)) / 1000;
  for (const [unit, length] of [["days", 86400], ["hours", 3600], ["minutes", 60]]) {
    if (seconds >= 2 * length) return `${Math.round(seconds / length)} ${unit} ago`;
  }
  return "just now";
}

function table(rows) {
  const body = element("tbody", {});
  for (const [name, ...cells] of rows) {
    body.append(element("tr", {}, element("th", { scope: "row" }, name), ...cells.map((cell) => element("td", {}, cell))));
  }
  return element("table", {}, body);
}

const toned = (text, kind) => element("span", { class: kind }, text);

function champion(found, fault) {
  if (!found) return [line(fault, "warn")];
  const title = element("p", { class: "big" }, element("a", { href: found.url }, `version ${found.version}`));
  const facts = [];
  if (found.promoted_at) facts.push(`champion since ${date(found.promoted_at)}`);
  if (found.update_of) facts.push(`an update of version ${found.update_of}`);
  if (found.data_until) facts.push(`knows events until ${found.data_until.slice(0, 10)}`);
  const reason = element("details", {}, element("summary", {}, "Why it was promoted"), line(found.reason, "quiet"));
  return [title, line(facts.join(", "), "quiet"), ...quality(found.quality), reason];
}

function quality(all) {
  if (!all.length) return [];
  const [own, ...baselines] = all;
  const shown = [own, ...baselines.slice(0, BASELINES)];
  const most = Math.max(...shown.map((one) => one.high ?? one.ndcg_at_10)) * 1.05;
  const x = (value) => 120 + (WIDTH - 180) * (value / most);
  const shapes = shown.flatMap((one, row) => {
    const y = 14 + 22 * row;
    const ours = one === own ? " ours" : "";
    const parts = [svg("text", { x: 0, y: y + 4 }, one.model), svg("circle", { cx: x(one.ndcg_at_10), cy: y, r: 5, class: `dot${ours}` })];
    if (one.low !== null) parts.unshift(svg("line", { x1: x(one.low), x2: x(one.high), y1: y, y2: y, class: `whisker${ours}` }));
    return [...parts, svg("text", { x: WIDTH, y: y + 4, "text-anchor": "end" }, figure(one.ndcg_at_10))];
  });
  const best = baselines.length ? `, the best baseline ${baselines[0].model} ${figure(baselines[0].ndcg_at_10)}` : "";
  const says = `NDCG@10 ${figure(own.ndcg_at_10)}${best}`;
  return [line(`NDCG@10 on its test, with 95 % intervals, beside the best baselines`, "quiet"), plot(22 * shown.length + 6, says, shapes)];
}

function bars(values, height, says, kinds) {
  const most = Math.max(1, ...values);
  const step = WIDTH / values.length;
  const shapes = values.map((value, place) => {
    const tall = value ? Math.max(2, (height * value) / most) : 0;
    return svg("rect", { x: place * step + 1, y: height - tall, width: step - 2, height: tall, class: kinds ? kinds(place) : "bar" });
  });
  shapes.push(svg("line", { x1: 0, x2: WIDTH, y1: height, y2: height, class: "axis" }));
  return { shapes, step, plot: (labels) => plot(height + 18, says, [...shapes, ...labels]) };
}

function answers(found, since) {
  if (!found.n_answers) return [line("no list yet", "big"), line(`since ${date(since)}`, "quiet")];
  const { by_latency: buckets } = found;
  const title = big(`${ms(found.median_ms)} median, ${ms(found.p99_ms)} p99`);
  const drawn = bars(buckets.map((bucket) => bucket[1]), 70, `How long ${count(found.n_answers)} lists took: median ${ms(found.median_ms)}`, () => "bar ours");
  const labels = buckets.flatMap(([bound], place) =>
    place % 2 || bound === null ? [] : [svg("text", { x: (place + 1) * drawn.step, y: 84, "text-anchor": "end" }, ms(bound))]);
  const missing = Object.entries(found.degraded).map(([part, n]) => `${count(n)} without ${part.replaceAll("_", " ")}`);
  const fallback = missing.length
    ? toned(`${missing.join(", ")} (${((100 * Math.max(...Object.values(found.degraded))) / found.n_answers).toFixed(1)} %)`, "warn")
    : toned("none had to do without a part", "good");
  return [title, line(`${count(found.n_answers)} lists since ${date(since)}`, "quiet"), drawn.plot(labels), element("p", {}, fallback)];
}

const ms = (value) => (value >= 1000 ? `${value / 1000} s` : `${Number(value.toPrecision(2))} ms`);

function events(found, lag) {
  const drawn = bars(found.by_hour, 70, `Events in each of the last 24 hours; ${count(found.today)} today`, (place) => (place === 23 ? "bar ours" : "bar"));
  const labels = [svg("text", { x: 0, y: 84 }, "24 hours ago"), svg("text", { x: WIDTH, y: 84, "text-anchor": "end" }, "this hour")];
  const waiting = lag ? `, ${count(lag)} not yet in the users' features` : "";
  return [big(count(found.today)), line(`since midnight UTC, impressions among them${waiting}`, "quiet"), drawn.plot(labels)];
}

function data(found, now) {
  const when = (moment) => (moment ? `${date(moment)}, ${ago(moment, now)}` : "never");
  const tests = found.marts_problem ? toned(found.marts_problem, "bad") : toned(`${found.n_tests_passed} tests passed`, "good");
  const rows = [
    ["Lake until", when(found.lake_until)],
    ["Marts built", when(found.marts_built_at)],
    ["Their tests", found.marts_built_at ? tests : "never run"],
    ["Online features until", when(found.features_until)],
  ];
  if (found.marts_are_behind) rows.splice(2, 0, ["", toned("the lake knows more", "warn")]);
  if (found.features_are_behind) rows.push(["", toned("the marts know more", "warn")]);
  return [table(rows)];
}

const RUN_KINDS = { success: "good", failed: "bad" };

function runs(found, fault, now) {
  const rows = found.map((run) => [
    element("a", { href: run.url }, run.dag_id),
    run.state ? toned(run.state, RUN_KINDS[run.state] || "quiet") : "never ran",
    run.queued_at ? ago(run.queued_at, now) : "",
    run.seconds === null ? "" : `${Math.round(run.seconds)} s`,
  ]);
  return [...(fault ? [line(fault, "warn")] : []), ...(rows.length ? [table(rows)] : [])];
}

function drift(found) {
  if (!found.length) return [line("nobody has looked yet: retrain_recommender does, before it updates the champion", "quiet")];
  const limited = found.filter((one) => one.limit !== null);
  const shapes = limited.flatMap((one, row) => {
    const y = 24 * row;
    const share = Math.min(1.5, one.value / one.limit);
    return [
      svg("text", { x: 0, y: y + 15 }, one.name.replaceAll("_", " ")),
      svg("rect", { x: 170, y: y + 4, width: Math.max(2, 120 * share), height: 14, class: share > 1 ? "bar over" : "bar ours" }),
      svg("text", { x: WIDTH, y: y + 15, "text-anchor": "end" }, one.value.toFixed(2)),
    ];
  });
  const bottom = 24 * limited.length;
  shapes.push(svg("line", { x1: 290, x2: 290, y1: 0, y2: bottom, class: "axis" }), svg("text", { x: 290, y: bottom + 12, "text-anchor": "middle" }, "too much"));
  const others = found.filter((one) => one.limit === null).map((one) => [one.name.replaceAll("_", " "), figure(one.value)]);
  const over = limited.filter((one) => one.value > one.limit).map((one) => one.name);
  return [plot(bottom + 16, over.length ? `too much: ${over.join(", ")}` : "nothing has drifted too far", shapes), table(others)];
}

function windows(services) {
  const notes = { Airflow: "what runs when", MLflow: "versions, figures, reasons" };
  for (const { name, url, state } of services) {
    const isUp = state === "answers";
    const note = element("span", { class: isUp ? "quiet" : "warn" }, isUp ? notes[name] : "does not answer: make ui");
    const known = byId(`to-${name}`);
    const link = element("a", { id: `to-${name}`, href: url }, name, note);
    if (known) known.replaceWith(link);
    else byId("windows").prepend(link);
  }
}

function show(board) {
  const { platform, readiness } = board;
  const now = new Date(platform.looked_at);
  const faults = [...readiness.reasons, ...readiness.warnings];
  const model = readiness.model ? `model version ${readiness.model.version} answers` : "popular items answer";
  byId("state").replaceChildren(
    readiness.ready ? toned(`● ready, ${model}`, "good") : toned(`▲ not ready, ${model}`, "bad"),
    ...faults.map((fault) => line(fault, "warn")));
  windows(platform.services);
  byId("champion").replaceChildren(...champion(platform.champion, platform.champion_fault));
  byId("answers").replaceChildren(...answers(board.answers, board.serving_since));
  byId("events").replaceChildren(...events(platform.arrivals, readiness.nearline_lag));
  byId("data").replaceChildren(...data(platform.freshness, now));
  byId("runs").replaceChildren(...runs(platform.dag_runs, platform.airflow_fault, now));
  byId("drift").replaceChildren(...drift(platform.champion ? platform.champion.drift : []));
}

async function look() {
  let next = EVERY_MS;
  try {
    const answer = await fetch("/status");
    const text = await answer.text();
    if (!answer.ok) throw new Error(JSON.parse(text).detail);
    if (answer.status === 202) next = SOON_MS;
    if (text) show(JSON.parse(text));
    byId("problem").textContent = "";
  } catch (error) {
    byId("problem").textContent = error.message;
  }
  setTimeout(lookIfSeen, next);
}

// A page in the background asks for nothing.
const lookIfSeen = () => (document.hidden ? document.addEventListener("visibilitychange", lookIfSeen, { once: true }) : look());
look();
