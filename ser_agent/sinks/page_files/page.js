// The live page: one stream of news in, a few elements changed. No library, nothing from elsewhere.

import { countsOf, drawLane, drawRibbon, lanePath, within } from "./charts.js";

const KEPT_MS = 24 * 3600e3;
const FRESH_MS = 30e3;
const LOG_LENGTH = 10;
const $ = (id) => document.getElementById(id);

const words = await (await fetch("texts.json")).json();
const model = { state: {}, info: {}, vitals: {}, last: null, events: [], skewMs: 0, connected: null, hours: 1 };
let language = stored("language", Object.keys(words.languages))
  ?? (navigator.languages?.some((wanted) => wanted.startsWith("de")) && !navigator.language.startsWith("en") ? "de" : "en");
let theme = stored("theme", ["light", "dark"]);

function stored(key, allowed) {
  try {
    const value = localStorage.getItem(`ser-agent-${key}`);
    return allowed.includes(value) ? value : null;
  } catch { return null; }
}

function store(key, value) {
  try {
    if (value === null) localStorage.removeItem(`ser-agent-${key}`);
    else localStorage.setItem(`ser-agent-${key}`, value);
  } catch { /* a private window: the choice lasts as long as the page */ }
}

const text = (key) => words.languages[language].texts[key] ?? key;
const name = (label) => words.languages[language].emotions[label] ?? label;
const emoji = (label) => words.emoji[label] ?? "🗣";
const emo = (label) => element("span", { className: "emo", textContent: emoji(label), ariaHidden: "true" });
const colour = (label) => `var(--${words.emoji[label] ? label : "other"})`;
const percent = (share) => `${Math.round(100 * share)} %`;
const nowMs = () => Date.now() + model.skewMs;
const clock = (ms, withSeconds = true) => new Date(ms - model.skewMs).toLocaleTimeString(language, {
  hour: "2-digit", minute: "2-digit", ...(withSeconds ? { second: "2-digit" } : {}), hour12: false });
const seconds = (s) => `${s.toLocaleString(language, { maximumFractionDigits: 1 })} s`;

function say(element, words_) {
  if (element.textContent !== words_) element.textContent = words_;  // else screen readers would say it again
}

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// What does not change but with the language.
function showTexts() {
  document.documentElement.lang = language;
  for (const one of document.querySelectorAll("[data-text]")) one.textContent = text(one.dataset.text);
  for (const one of document.querySelectorAll("[data-hours]")) {
    one.textContent = text(`hours_${one.dataset.hours}`);
  }
  const other = language === "en" ? "de" : "en";
  $("language").textContent = words.languages[other].texts.language_name;
  $("language").lang = other;
  const sign = element("span", { className: "emo", textContent: { light: "☀️", dark: "🌙" }[theme] ?? "🌗", ariaHidden: "true" });
  $("theme").replaceChildren(sign, " ", element("span", { className: "word", textContent: text(`theme_${theme ?? "auto"}`) }));
}

function showTheme() {
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}

function showLink() {
  const { state, connected } = model;
  const [tone, key] = connected === null ? ["wait", "connecting"]
    : !connected ? ["bad", "disconnected"]
      : !state.online ? ["wait", "starting"]
        : state.listening === false ? ["bad", "muted"] : ["good", "live"];
  $("link").dataset.tone = tone;
  say($("link"), text(key));
  if (state.site) {
    $("site").textContent = state.site;
    document.title = `${state.site} · ser-agent`;
  }
}

function showNow() {
  const { last, state } = model;
  const card = $("now");
  const ageMs = last ? nowMs() - last.ended_ms : Infinity;
  const fresh = ageMs < FRESH_MS || (state.speaking && last !== null);
  const label = last?.emotion ?? "none";
  card.dataset.fresh = String(fresh);
  card.style.setProperty("--tone", fresh ? colour(label) : "var(--line)");
  $("now-emoji").textContent = emoji(label);
  say($("now-name"), last ? name(label) : text("nothing_yet"));
  say($("now-note"), last ? `${clock(last.ended_ms)} · ${seconds(last.duration_s)}${last.agent === state.site ? "" : ` · ${last.agent}`}${
    label === "uncertain" ? ` · ${text("uncertain_note")}` : ""}` : text("nothing_yet_note"));
  $("now-ranks").replaceChildren(...(last?.emotions ?? []).slice(0, 3).map(({ label: one, score }) => {
    const fill = element("span");
    fill.style.width = `${100 * score}%`;
    fill.style.background = colour(one);
    const bar = element("span", { className: "bar", ariaHidden: "true" }, fill);
    return element("li", {}, element("span", {}, emo(one), ` ${name(one)}`), bar,
      element("span", { className: "share", textContent: percent(score) }));
  }));
}

function showHearing() {
  const { state, vitals } = model;
  const muted = state.listening === false;
  $("speech").dataset.on = String(Boolean(state.speaking) && !muted);
  say($("speech-text"), text(muted ? "muted" : !state.microphone ? "no_microphone" : state.speaking ? "speaking" : "silent"));
  const level = muted || !state.microphone ? null : vitals.level_dbfs ?? null;
  const shown = level ?? -96;
  $("level").setAttribute("aria-valuenow", String(Math.round(shown)));
  $("level").setAttribute("aria-valuetext", level === null ? "–" : `${Math.round(level)} dB`);
  $("level").firstElementChild.style.width = `${Math.max(0, Math.min(100, ((shown + 70) / 70) * 100))}%`;
  $("level-text").textContent = level === null ? "–" : `${level.toFixed(0)} dB`;
  $("mute").setAttribute("aria-pressed", String(muted));
  $("mute").disabled = state.listening === null || state.listening === undefined;
  $("mute-icon").textContent = muted ? "🔇" : "🎙️";
  say($("mute-text"), text(muted ? "unmute" : "mute"));
  say($("mute-note"), text(muted ? "muted_note" : "mute_note"));
  if (typeof state.threshold === "number" && document.activeElement !== $("threshold")) {
    $("threshold").value = String(state.threshold);
    showThreshold(state.threshold);
  }
}

function showThreshold(value) {
  $("threshold-text").textContent = percent(value);
  $("threshold").setAttribute("aria-valuetext", percent(value));
}

function labelsShown() {
  const known = Object.keys(words.emoji).filter((label) => label !== "none");
  const used = new Set([...(model.state.labels ?? known), ...model.events.map((event) => event[2]), "uncertain"]);
  return [...known.filter((label) => used.has(label)), ...[...used].filter((label) => !known.includes(label))];
}

function showPast() {
  const now = nowMs();
  const { hours } = model;
  const events = within(model.events, hours, now);
  const counts = countsOf(events);
  const told = labelsShown().filter((label) => counts.has(label)).map((label) => `${name(label)} ${counts.get(label)}`);
  const summary = `${text("past")}, ${text(`hours_${hours}`)}: ${told.join(", ") || text("nobody_spoke")}`;
  drawRibbon($("ribbon"), events, hours, now, colour, summary,
    (label, ms) => `${clock(ms, false)} ${emoji(label)} ${name(label)}`);
  $("lanes").replaceChildren(...labelsShown().map((label) => {
    const [drawing, path] = drawLane(lanePath(events, label, hours, now));
    path.style.fill = colour(label);
    const count = counts.get(label) ?? 0;
    const share = element("span", { textContent: events.length ? ` · ${percent(count / events.length)}` : "" });
    const row = element("div", { className: "lane" }, element("span", { className: "label" }, emo(label), ` ${name(label)}`), drawing, element("span", { className: "count" }, element("b", { textContent: String(count) }), share));
    row.dataset.empty = String(count === 0);
    return row;
  }));
  $("axis").replaceChildren(...[4, 3, 2, 1, 0].map((quarter) => element("span", {
    textContent: quarter ? clock(now - (quarter / 4) * hours * 3600e3, false) : text("axis_now") })));
  say($("past-note"), events.length ? "" : text("nobody_spoke"));
}

function showHeard() {
  const latest = model.events.slice(-LOG_LENGTH).reverse();
  $("heard").replaceChildren(...latest.map(([endedMs, , label, confidence, site]) => element("li", {},
    element("time", { textContent: clock(endedMs), dateTime: new Date(endedMs).toISOString() }),
    element("span", {}, emo(label), ` ${name(label)}${site === model.state.site ? "" : ` · ${site}`}`),
    element("span", { className: "share", textContent: percent(confidence) }))));
  if (!latest.length) $("heard").replaceChildren(element("li", { textContent: text("nothing_yet") }));
}

function showHealth() {
  const { state, vitals } = model;
  const rows = [["microphone", state.listening === false ? text("off_muted") : text(state.microphone ? "works" : "lost"),
    state.listening === false ? "" : state.microphone ? "good" : "bad"]];
  for (const [sink, { connected, lost }] of Object.entries(vitals.sinks ?? {})) {
    if (connected !== null) rows.push([`${text("broker")} (${sink})`, text(connected ? "connected" : "away"), connected ? "good" : "bad"]);
    if (lost) rows.push([`${text("undelivered")} (${sink})`, String(lost), "bad"]);
  }
  const ms = (value) => (value === null || value === undefined ? "–" : `${value} ms`);
  rows.push(["latency", `${ms(vitals.latency_p50_ms)} / ${ms(vitals.latency_p95_ms)}`, ""]);
  if (vitals.utterances !== undefined) {
    rows.push(["utterances", `${vitals.published} / ${vitals.utterances}`, ""]);
    rows.push(["dropped", String(vitals.dropped), ""]);
    rows.push(["failed", String(vitals.failed), vitals.failed ? "bad" : ""]);
    rows.push(["frames_dropped", String(vitals.frames_dropped), vitals.frames_dropped ? "bad" : ""]);
    rows.push(["uptime", duration(vitals.uptime_s), ""]);
  }
  rows.push(["model", state.model ?? "–", ""], ["version", state.version ?? "–", ""]);
  $("health").replaceChildren(...rows.map(([key, value, tone]) => {
    const dd = element("dd", { textContent: value });
    dd.dataset.tone = tone;
    return element("div", {}, element("dt", { textContent: text(key) }), dd);
  }));
}

function duration(s) {
  const minutes = Math.floor(s / 60);
  const parts = [[Math.floor(minutes / 1440), "d"], [Math.floor(minutes / 60) % 24, "h"], [minutes % 60, "min"]];
  const told = parts.filter(([count]) => count).slice(0, 2).map(([count, unit]) => `${count} ${unit}`);
  return told.join(" ") || `${Math.floor(s)} s`;
}

function showAll() {
  showTexts(); showLink(); showNow(); showHearing(); showPast(); showHeard(); showHealth();
}

// Buttons.
async function press(path, body) {
  $("trouble").hidden = true;
  try {
    const answer = await fetch(path, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    const { error } = await answer.json();
    if (error) complain(error);
  } catch { complain(text("disconnected")); }
}

function complain(reason) {
  $("trouble").textContent = reason;
  $("trouble").hidden = false;
}

$("mute").addEventListener("click", () => press("listening", { on: model.state.listening === false }));
$("threshold").addEventListener("input", (event) => showThreshold(Number(event.target.value)));
$("threshold").addEventListener("change", (event) => press("threshold", { value: Number(event.target.value) }));
$("language").addEventListener("click", () => {
  language = language === "en" ? "de" : "en";
  store("language", language);
  showAll();
});
$("theme").addEventListener("click", () => {
  theme = theme === null ? "light" : theme === "light" ? "dark" : null;
  store("theme", theme);
  showTheme();
  showTexts();
});
for (const button of document.querySelectorAll("[data-hours]")) {
  button.addEventListener("click", () => {
    model.hours = Number(button.dataset.hours);
    for (const other of document.querySelectorAll("[data-hours]")) other.setAttribute("aria-pressed", String(other === button));
    showPast();
  });
}

// News.
function take(kind, handle) {
  stream.addEventListener(kind, (news) => handle(JSON.parse(news.data)));
}

const stream = new EventSource("stream");
stream.onerror = async () => {
  model.connected = false;
  showLink();
  if (stream.readyState === EventSource.CLOSED) setTimeout(() => location.reload(), 3000);
};
take("snapshot", (data) => {
  Object.assign(model, { state: data.state, info: data.info, vitals: data.vitals, last: data.last, events: data.events });
  model.skewMs = data.now_ms - Date.now();
  model.connected = true;
  showAll();
});
take("state", (changes) => {
  Object.assign(model.state, changes);
  showLink(); showNow(); showHearing(); showHealth();
  if (changes.labels) showPast();
});
take("event", (event) => {
  if (model.last?.id === event.id) return;
  model.last = event;
  model.events.push([event.ended_ms, event.duration_s, event.emotion, event.confidence, event.agent]);
  while (model.events.length && model.events[0][0] < nowMs() - KEPT_MS) model.events.shift();
  showNow(); showPast(); showHeard();
});
take("vitals", (vitals) => {
  model.vitals = vitals;
  showHearing(); showHealth();
});
addEventListener("pagehide", () => stream.close());
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
setInterval(() => { showNow(); showPast(); }, 10e3);

showTheme();
showAll();
document.documentElement.dataset.ready = "true";
