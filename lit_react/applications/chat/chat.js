// The page: sends a question, shows the answer and where it is written. All that comes from the server is text.

const $ = (id) => document.getElementById(id);
const WHY = {
  unsure: "I am not sure, so a person will answer.",
  "out of scope": "This is not about anything that I know, so a person will answer.",
};

function make(tag, className, text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

function turn(className, ...parts) {
  const item = make("li", className);
  item.append(...parts);
  $("turns").append(item);
  item.scrollIntoView({ block: "end" });
}

const sourceOf = (entry) => make("p", "source", `“${entry.question}” · ${entry.source}`);
const answerOf = (entry) => [make("p", "answer", entry.answer), sourceOf(entry)];

function nearest(entries, words) {
  const list = make("div", "others", words);
  for (const entry of entries) {
    const button = make("button", "other", entry.question);
    button.type = "button";
    button.onclick = () => {
      turn("asked", make("p", "", entry.question));
      turn("said", ...answerOf(entry));
    };
    list.append(button);
  }
  return list;
}

async function ask(question) {
  turn("asked", make("p", "", question));
  const body = JSON.stringify({ question });
  const response = await fetch("predict", { method: "POST", headers: { "Content-Type": "application/json" }, body });
  const said = await response.json().catch(() => ({ detail: `The server answers ${response.status}.` }));
  if (!response.ok) return turn("said person", make("p", "problem", said.detail));
  if (said.abstains) {
    const near = said.abstains === "unsure" ? [nearest(said.entries, "The nearest that is written down:")] : [];
    return turn("said person", make("p", "answer", WHY[said.abstains]), ...near);
  }
  turn("said", ...answerOf(said.entries[0]), nearest(said.entries.slice(1), "Or did you mean:"));
}

$("form").onsubmit = async (event) => {
  event.preventDefault();
  const question = $("question").value.trim();
  if (!question) return;
  $("question").value = "";
  $("send").disabled = true;
  try {
    await ask(question);
  } catch {
    turn("said person", make("p", "problem", "The server does not answer."));
  } finally {
    $("send").disabled = false;
    $("question").focus();
  }
};

$("question").onkeydown = (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("form").requestSubmit();
  }
};

const { answers } = await (await fetch("known")).json();
const hello = make("li", "said");
hello.append(make("p", "answer", `Hello. I know ${answers} answers; what I am not sure of, a person will answer.`));
$("turns").prepend(hello); // also where somebody has asked by now
