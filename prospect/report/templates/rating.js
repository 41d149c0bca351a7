"use strict";
// One recording at a time; every answer is kept in the browser, and saved as a file on demand.
const $ = (id) => document.getElementById(id);
const form = $("form");
const sections = [...form.querySelectorAll("section")];
const STORE = `prospect-rating-${form.dataset.form}`;
let now = 0;
let storing = true;

const questions = (root) => [...root.querySelectorAll(".question")];
const isOpen = (question) => !question.querySelector(":checked");
const numOpen = (root) => questions(root).filter(isOpen).length;

function tell(text, bad) {
  $("status").textContent = text;
  $("status").className = bad ? "bad" : "";
}

function progress() {
  const here = numOpen(sections[now]);
  const done = sections.filter((section) => numOpen(section) === 0).length;
  const kept = storing ? "" : " This browser keeps nothing: save before you leave.";
  tell(`${done} of ${sections.length} recordings done; ${here} answers open here.${kept}`, !storing);
}

function keep() {
  const answers = Object.fromEntries(new FormData(form));
  try {
    localStorage.setItem(STORE, JSON.stringify({ rater: $("rater").value, now, answers }));
  } catch (error) { // switched off, or full
    storing = false;
  }
}

function restore() {
  let kept = null;
  try {
    kept = JSON.parse(localStorage.getItem(STORE));
  } catch (error) {
    storing = false;
  }
  if (!kept) return;
  $("rater").value = kept.rater;
  for (const [name, value] of Object.entries(kept.answers)) form.elements[name].value = value;
  now = kept.now;
}

function show(index, focus) {
  now = Math.min(Math.max(index, 0), sections.length - 1);
  sections.forEach((section, at) => { section.hidden = at !== now; });
  $("previous").disabled = now === 0;
  $("next").disabled = now === sections.length - 1;
  if (focus) {
    $("how").open = false;
    window.scrollTo(0, 0);
    sections[now].querySelector("h2").focus({ preventScroll: true });
  }
  keep();
  progress();
}

// Answers the question that has the focus, or the first open one, and goes to the next open one.
function answer(value) {
  const all = questions(sections[now]);
  const focused = document.activeElement.closest(".question");
  const question = focused || all.find(isOpen);
  const choice = question && question.querySelector(`input[value="${value}"]`);
  if (!choice) return;
  choice.checked = true;
  keep();
  const after = all.slice(all.indexOf(question) + 1).find(isOpen) || all.find(isOpen);
  (after ? after.querySelector("input") : choice).focus();
  progress();
}

function collect() {
  const items = sections.map((section) => ({ item: section.dataset.item, ratings: {}, ranks: {}, comment: "" }));
  const byName = Object.fromEntries(items.map((item) => [item.item, item]));
  for (const [name, value] of new FormData(form)) {
    const [kind, item, letter, aspect] = name.split(" ");
    const into = byName[item];
    if (kind === "comment") into.comment = value;
    else if (kind === "rank") into.ranks[letter] = Number(value);
    else (into.ratings[letter] ??= {})[aspect] = Number(value);
  }
  const rater = $("rater").value.trim();
  return { schema: "ratings/1", form: form.dataset.form, rater, saved: new Date().toISOString(), items };
}

function save() {
  const ratings = collect();
  if (!ratings.rater) {
    tell("Your name is needed.", true);
    $("rater").focus();
    return;
  }
  const link = document.createElement("a");
  const file = new Blob([JSON.stringify(ratings, null, 1) + "\n"], { type: "application/json" });
  link.href = URL.createObjectURL(file);
  link.download = `ratings-${ratings.rater.replace(/[^\p{L}\p{N}]+/gu, "-")}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  const open = numOpen(form);
  tell(open ? `Saved; ${open} answers are still open.` : "Saved, complete. Thank you!", open > 0);
}

form.addEventListener("input", () => { keep(); progress(); });
form.addEventListener("submit", (event) => event.preventDefault());
$("rater").addEventListener("input", () => { keep(); progress(); });
$("previous").addEventListener("click", () => show(now - 1, true));
$("next").addEventListener("click", () => show(now + 1, true));
$("save").addEventListener("click", save);
document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "s") {
    event.preventDefault();
    save();
    return;
  }
  const typing = event.target.matches("textarea, #rater");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (/^[1-9]$/.test(event.key)) answer(event.key);
  else if (event.key === "n") show(now + 1, true);
  else if (event.key === "p") show(now - 1, true);
});

restore();
show(now, false);
