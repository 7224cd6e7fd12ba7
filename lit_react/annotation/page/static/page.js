// The page: asks for a question, sends the answer, shows what the run does meanwhile. The server keeps everything;
// what was not sent yet waits in this tab, so that a reload loses no words.

import { make, widgetOf } from "./widgets.js";

const token = decodeURIComponent(location.hash.slice(1));
const $ = (id) => document.getElementById(id);
const draftOf = (id) => `draft ${token.slice(0, 8)} ${id}`; // of this run
const POLL = { question: 2000, nothing: 1000, ended: 10000 }; // milliseconds
let state = null; // what the server said last
let widget = null; // of the question on the screen
let open = null; // that question
let seconds = 0; // it was in sight
let sending = false;
let broken = false; // the server did not answer
let listening = false; // for the end of the run
let ended = false;

// ---- the server ---------------------------------------------------------------------------------------------------

async function ask(path, body) {
  const headers = { Authorization: `Bearer ${token}` };
  if (body) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body) });
  } catch {
    throw Object.assign(new Error("The server does not answer: the run has ended, or was stopped. Nothing that was saved is lost."), { away: true });
  }
  const said = await response.json().catch(() => ({ error: `The server answers ${response.status}.` }));
  if (!response.ok) throw Object.assign(new Error(said.error), { status: response.status });
  return said;
}

async function send(answer) {
  if (sending) return null;
  sending = true;
  document.body.classList.add("sending");
  try {
    $("problem").textContent = "";
    return await ask("api/answers", answer);
  } catch (error) {
    if (error.status === 409) {
      say(error.message);
      show(await ask("api/question"), true);
    } else $(open ? "problem" : "rest-text").textContent = error.message;
    return null;
  } finally {
    sending = false;
    document.body.classList.remove("sending");
  }
}

// ---- what people do -----------------------------------------------------------------------------------------------

async function save(label, newClass) {
  if (!open) return;
  if (label === undefined) return say("Nothing to save yet.");
  const { id } = open;
  const next = await send({ id, label, note: $("note").value, seconds: Math.round(seconds * 10) / 10, new_class: newClass });
  if (!next) return;
  sessionStorage.removeItem(draftOf(id));
  say(newClass ? `Saved with the new class ${newClass}.` : label === null ? "Skipped." : `Saved${typeof label === "string" && label.length < 60 ? ` ${label}` : ""}.`);
  show(next, true);
  listAnswers();
}

async function undo() {
  const [last] = await ask("api/answers").catch(() => []);
  if (!last) return say("There is nothing to undo.");
  const next = await send({ id: last.id, undo: true });
  if (!next) return;
  say("Taken back.");
  show(next, true);
  if (open?.id === last.id) restore(last);
  listAnswers();
}

const changed = () => {
  if (open && widget) sessionStorage.setItem(draftOf(open.id), JSON.stringify({ label: widget.value() ?? null, note: $("note").value }));
};

function say(words) {
  $("said").textContent = "";
  requestAnimationFrame(() => ($("said").textContent = words));
}

// ---- what people see ----------------------------------------------------------------------------------------------

const percent = (share) => `${(100 * share).toFixed(1)} %`;
const several = (count, one) => `${count} ${one}${count === 1 ? "" : "s"}`;

function shareOf({ metric, value }, before) {
  if (value === undefined || value === null) return "";
  const gain = before?.metric === metric && before.value !== null ? 100 * (value - before.value) : null;
  return `${metric.replaceAll("_", " ")} ${percent(value)}${gain === null ? "" : ` (${gain < 0 ? "−" : "+"}${Math.abs(gain).toFixed(1)})`}`;
}

function showRun() {
  const { progress, learning, results, annotators, annotator } = state;
  const [before, last] = [results.at(-2), results.at(-1)];
  $("annotator").textContent = annotators > 1 ? annotator : "";
  const agreement = progress.pairs ? `${percent(progress.agreeing / progress.pairs)} of ${several(progress.pairs, "pair")} agree` : "";
  const query = progress.wanted ? `${progress.answered} of ${progress.wanted} in this query` : "";
  $("counts").textContent = [query, several(progress.labels ?? 0, "label") + " in all", agreement].filter(Boolean).join(" · ");
  Object.assign($("progress"), { max: progress.wanted || 1, value: progress.answered || 0 });
  const learned = last && `Round ${last.round} learned from ${several(last.labels, "label")}: ${shareOf(last, before) || "no metric"}`;
  const now = learning && (progress.labels ? `Learning from ${several(progress.labels, "label")} …` : "Getting ready …");
  const words = [now, learned].filter(Boolean).join(" ");
  if ($("run").textContent !== words) {
    $("run").textContent = words;
    if (words) say(words);
  }
  $("run").hidden = !words;
  document.body.classList.toggle("learning", learning);
}

function show(next, isNew) {
  if (ended) return;
  state = next;
  broken = false;
  showRun();
  if (!isNew && open && widget) return; // a question on the screen stays
  open = next.question;
  widget = null;
  $("card").hidden = !open;
  $("rest").hidden = Boolean(open);
  $("problem").textContent = "";
  if (!open) return rest();
  seconds = 0;
  const look = (name) => ask(`api/name?id=${encodeURIComponent(next.question.id)}&name=${encodeURIComponent(name)}`);
  widget = widgetOf(open, { save, changed, say, look, found: next.new_classes });
  $("task").textContent = widget.task;
  $("text").replaceChildren(widget.parts[0]);
  $("answer").replaceChildren(widget.parts[1]);
  $("others").replaceChildren(...Object.entries(open.others).flatMap(([name, value]) => [make("dt", { textContent: name }), make("dd", { textContent: value, dir: "auto" })]));
  $("save").hidden = !widget.saves;
  $("suggest").closest("label").hidden = !open.suggestions.length;
  const draft = JSON.parse(sessionStorage.getItem(draftOf(open.id)) ?? "null");
  restore(draft ?? open.given ?? { label: null, note: "" });
  (widget.focus ?? $("task")).focus({ preventScroll: true });
  scrollTo(0, 0);
}

function restore({ label, note }) {
  if (label !== null && label !== undefined) widget.load(label);
  $("note").value = note;
  $("note-box").open = Boolean(note);
}

function rest() {
  const { learning, waiting, advice } = state;
  const title = learning ? "Nothing to label while the model learns" : waiting ? "Others have the last texts of this query" : "This query is answered";
  const text = learning ? "The next texts come by themselves; you may look through your earlier answers." : "This page goes on by itself.";
  if ($("rest-title").textContent !== title) $("rest-title").textContent = title;
  $("rest-text").textContent = [text, advice && `${advice}.`].filter(Boolean).join(" ");
}

async function listen() {
  if (listening) return;
  listening = true;
  const said = await ask("api/end").catch(() => null);
  listening = false;
  if (said?.outcome) end(said);
}

function end(said) {
  state = { ...state, ...said };
  ended = true;
  open = widget = null;
  showRun();
  const last = said.results.at(-1);
  const brought = [several(said.progress.labels ?? 0, "label"), last && shareOf(last)].filter(Boolean).join(", ");
  $("rest-title").textContent = `The run has ended: ${said.outcome}`;
  $("rest-text").textContent = [`${brought}.`, said.advice && `${said.advice}.`, "You can close this page."].filter(Boolean).join(" ");
  $("rest").hidden = false;
  for (const id of ["run", "card", "rest-undo", "history"]) $(id).hidden = true;
  say(`${$("rest-title").textContent}. ${$("rest-text").textContent}`);
}

async function listAnswers() {
  if (!$("history").open) return;
  const given = await ask("api/answers").catch(() => []);
  const rows = given.map(({ id, text, said, label, note }) => {
    const answer = said === null ? "skipped" : said || "none";
    const button = make("button", { type: "button" }, make("span", { className: "name", textContent: answer }), make("span", { textContent: text, dir: "auto" }), ...(note ? [make("em", { textContent: note })] : []));
    button.setAttribute("aria-label", `Change ${answer}: ${text}`);
    button.addEventListener("click", () => lookAgain(id));
    return make("li", {}, button);
  });
  $("answers").replaceChildren(...(rows.length ? rows : [make("li", { textContent: "None yet." })]));
}

async function lookAgain(id) {
  try {
    show(await ask(`api/question?id=${encodeURIComponent(id)}`), true);
  } catch (error) {
    say(error.message);
  }
}

// ---- keys, clocks, beginning --------------------------------------------------------------------------------------

const isWriting = (element) => element.matches("textarea, input:not([type=checkbox])");

document.addEventListener("keydown", (event) => {
  const control = event.ctrlKey || event.metaKey;
  if (event.key === "Enter" && open && widget?.saves && (control || !event.target.matches("textarea, button, summary, input[type=search]"))) {
    event.preventDefault();
    return void save(widget.value());
  }
  if (event.key === "Escape" && isWriting(event.target)) return event.target.blur();
  if (isWriting(event.target) || control || event.altKey || !$("keys").checked) return;
  const keys = { u: undo, s: () => open && save(null), n: () => (($("note-box").open = true), $("note").focus()), h: () => $("suggest").click() };
  if (open && widget?.key(event)) event.preventDefault();
  else if (keys[event.key]) {
    event.preventDefault();
    keys[event.key]();
  }
});

$("card").addEventListener("submit", (event) => {
  event.preventDefault();
  if (widget?.saves) save(widget.value());
});
$("note").addEventListener("input", changed);
$("skip").addEventListener("click", () => save(null));
for (const id of ["undo", "rest-undo"]) $(id).addEventListener("click", undo);
$("history").addEventListener("toggle", listAnswers);
for (const id of ["suggest", "keys"]) {
  $(id).checked = localStorage.getItem(id) !== "no";
  const apply = () => document.body.classList.toggle("unbiased", !$("suggest").checked);
  apply();
  $(id).addEventListener("change", () => {
    localStorage.setItem(id, $(id).checked ? "yes" : "no");
    apply();
    widget?.redraw?.();
  });
}

setInterval(() => {
  if (!document.hidden) seconds += 0.5;
}, 500);

async function poll() {
  try {
    if (!sending && !document.hidden) {
      const before = ended;
      const next = await ask("api/question");
      if (before) return location.reload(); // the run goes on
      if (!sending) show(next, false);
      listen();
    }
  } catch (error) {
    if (!ended && (error.status === 401 || error.away)) stop(error);
  }
  setTimeout(poll, ended ? POLL.ended : open && !broken ? POLL.question : POLL.nothing);
}

function stop(error) {
  broken = true;
  document.body.classList.remove("learning");
  $("run").hidden = false;
  if ($("run").textContent !== error.message) {
    $("run").textContent = error.message;
    say(error.message);
  }
}

addEventListener("hashchange", () => location.reload());
poll();
