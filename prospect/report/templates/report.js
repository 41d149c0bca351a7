"use strict";
// Timelines: scrub one with pointer, slider or keys; open another from the list, a card or the
// address; filter the list.
document.documentElement.classList.add("js");

// Makes an article scrubbable; gives {goto(frame), error(direction), frame()}.
function scrub(video) {
  const data = JSON.parse(video.querySelector("script").textContent);
  const strip = video.querySelector(".strip");
  const svg = strip.querySelector("svg");
  const playhead = svg.querySelector(".playhead");
  const images = [...svg.querySelectorAll("image")];
  const slider = video.querySelector(".scrub");
  const preview = video.querySelector(".readout img");
  const readout = video.querySelector(".readout dl");
  const list = video.querySelector(".transcript");
  const rows = [...list.querySelectorAll("tbody tr")];
  const count = data.stop - data.start;
  let now = data.start;

  const clock = (s) => `${Math.floor(s / 60)}:${(s % 60).toFixed(1).padStart(4, "0")}`;
  const stateAt = (runs, frame) => runs.findLast(([first]) => first <= frame)[1];

  function line(term, text, fires) {
    const dt = document.createElement("dt");
    const dd = document.createElement("dd");
    dt.textContent = term;
    dd.textContent = text;
    if (fires) dd.className = "fires";
    readout.append(dt, dd);
  }

  function prob(name, frame) {
    const { probs, threshold } = data[name];
    if (!probs.length) return;
    const value = probs[frame - data.start];
    const fires = value > threshold;
    line(`P(${name})`, `${value.toFixed(3)} ${fires ? ">" : "≤"} ${threshold}${fires ? ", acts" : ""}`, fires);
  }

  function show(frame) {
    now = Math.min(Math.max(frame, data.start), data.stop - 1);
    const width = svg.viewBox.baseVal.width;
    playhead.setAttribute("transform", `translate(${((now - data.start + 0.5) / count) * width} 0)`);
    slider.value = now;
    readout.replaceChildren();
    line("Time", `${clock((now + 1) / data.fps)}, frame ${now}`);
    prob("speak", now);
    prob("update", now);
    if (data.tracked) {
      line("Reference state", stateAt(data.reference, now));
      line("Predicted state", stateAt(data.predicted, now));
    }
    if (images.length) {
      const away = (image) => Math.abs(image.dataset.frame - now);
      const nearest = images.reduce((a, b) => (away(b) < away(a) ? b : a));
      preview.hidden = false;
      preview.src = nearest.href.baseVal;
      preview.alt = `Frame ${nearest.dataset.frame}`;
    }
    const current = rows.findLast((row) => Number(row.dataset.frame) <= now);
    for (const row of rows) row.classList.toggle("now", row === current);
    if (current) list.scrollTop = current.offsetTop - list.clientHeight / 2;
  }

  function goto(frame) {
    show(frame);
    const scale = svg.clientWidth / count;
    strip.scrollLeft = (now - data.start) * scale - strip.clientWidth / 2;
  }

  function error(direction) {
    const ahead = data.errors.filter((frame) => (frame - now) * direction > 0);
    if (ahead.length) goto(direction > 0 ? ahead[0] : ahead.at(-1));
  }

  function point(event) {
    const box = svg.getBoundingClientRect();
    show(data.start + Math.floor(((event.clientX - box.left) / box.width) * count));
  }
  svg.addEventListener("pointermove", point);
  svg.addEventListener("pointerdown", point);
  slider.addEventListener("input", () => goto(Number(slider.value)));
  strip.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 10 : 1;
    const to = { ArrowLeft: now - step, ArrowRight: now + step, Home: data.start, End: data.stop }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    goto(to);
  });
  for (const row of rows) row.addEventListener("click", () => goto(Number(row.dataset.frame)));
  show(rows.length ? Number(rows[0].dataset.frame) : data.start);
  list.scrollTop = 0;
  return { goto, error, frame: () => now };
}

function browse(section) {
  const stage = section.querySelector(".stage");
  const buttons = [...section.querySelectorAll(".picker button")];
  const form = section.querySelector(".filters");
  const told = form.querySelector("output");
  const made = new Map(); // key -> its article and what scrub gave, made when first opened
  let current;

  function open(key) {
    if (!made.has(key)) {
      const template = section.querySelector(`template[data-key="${key}"]`);
      const article = template ? template.content.firstElementChild : stage.firstElementChild;
      stage.replaceChildren(article);
      made.set(key, { article, ...scrub(article) });
    }
    const [from, to] = [current, key].map((one) => buttons.find((button) => button.dataset.key === one));
    const frame = made.get(current)?.frame();
    current = key;
    stage.replaceChildren(made.get(key).article);
    from?.removeAttribute("aria-current");
    to.setAttribute("aria-current", "true");
    // another model on the same stream: stay where we looked
    if (from && from.dataset.stream === to.dataset.stream) made.get(key).goto(frame);
    return made.get(key);
  }

  function passes(button) {
    for (const select of form.querySelectorAll("select")) {
      if (select.value && button.dataset[select.name] !== select.value) return false;
    }
    return !form.elements.errors.checked || button.dataset.errors !== "0";
  }

  function filter() {
    const kept = buttons.filter(passes);
    for (const button of buttons) button.parentElement.hidden = !kept.includes(button);
    stage.classList.toggle("errors-only", form.elements.errors.checked);
    told.textContent = `${kept.length} of ${buttons.length} shown`;
    if (kept.length && !kept.some((button) => button.dataset.key === current)) open(kept[0].dataset.key);
  }

  function turn(direction) {
    const kept = buttons.filter(passes);
    const place = kept.findIndex((button) => button.dataset.key === current);
    const next = kept[place + direction];
    if (!next) return;
    open(next.dataset.key);
    next.scrollIntoView({ block: "nearest" });
  }

  // "#v3-120": frame 120 of video v3
  function follow() {
    const [, key, frame] = location.hash.match(/^#(v\d+)-(\d+)$/) ?? [];
    if (!buttons.some((button) => button.dataset.key === key)) return;
    open(key).goto(Number(frame));
    stage.scrollIntoView();
  }

  for (const button of buttons) button.addEventListener("click", () => open(button.dataset.key));
  form.addEventListener("change", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", follow);
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#v"]');
    if (!link) return;
    if (stage.contains(link)) {
      event.preventDefault();
      made.get(current).goto(Number(link.getAttribute("href").split("-")[1]));
    } else if (link.getAttribute("href") === location.hash) {
      follow(); // the address does not change, but the card has to lead there again
    }
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select")) return;
    const act = {
      j: () => turn(1),
      k: () => turn(-1),
      n: () => made.get(current).error(1),
      p: () => made.get(current).error(-1),
      e: () => {
        form.elements.errors.checked = !form.elements.errors.checked;
        filter();
      },
    }[event.key];
    if (act) act();
  });
  open(buttons.find((button) => button.hasAttribute("aria-current")).dataset.key);
  filter();
  follow();
}

if (document.querySelector(".stage")) browse(document.getElementById("timeline"));
