"use strict";
// Charts take the colours of the page, also when the reader's theme changes.
const dark = window.matchMedia("(prefers-color-scheme: dark)");
function paint() {
  const style = getComputedStyle(document.documentElement);
  const text = style.getPropertyValue("--text").trim();
  const line = style.getPropertyValue("--line").trim();
  const back = style.getPropertyValue("--back").trim();
  for (const chart of document.querySelectorAll(".js-plotly-plot")) {
    // It was drawn while the page was still being laid out.
    Plotly.Plots.resize(chart);
    Plotly.relayout(chart, {
      "font.color": text, "xaxis.gridcolor": line, "yaxis.gridcolor": line, "xaxis.zerolinecolor": line,
      "yaxis.zerolinecolor": line, "hoverlabel.bgcolor": back, "hoverlabel.font.color": text,
    });
  }
}
paint();
dark.addEventListener("change", paint);
window.addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("figure details")) details.open = true;
});

// Search: every word must be in the name or the description; names that begin with it come first.
const input = document.getElementById("search");
const list = document.getElementById("found");
const root = document.body.dataset.root;
let chosen = -1;
function find(words) {
  const scored = [];
  for (const entry of window.INDEX) {
    const name = entry.name.toLowerCase();
    const all = name + " " + entry.means.toLowerCase();
    if (!words.every((word) => all.includes(word))) continue;
    const first = words[0];
    scored.push([name === first ? 0 : name.startsWith(first) ? 1 : name.includes(first) ? 2 : 3, entry.rank, entry]);
  }
  scored.sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2].name.localeCompare(b[2].name));
  return scored.slice(0, 20).map((each) => each[2]);
}
function show() {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  const entries = words.length ? find(words) : [];
  list.replaceChildren(...entries.map((entry, number) => {
    const item = document.createElement("li");
    item.id = "found-" + number;
    item.setAttribute("role", "option");
    item.setAttribute("aria-selected", "false");
    item.dataset.url = root + entry.url;
    const name = document.createElement("strong");
    name.textContent = entry.name;
    const what = document.createElement("span");
    what.className = "what";
    what.textContent = entry.what;
    const means = document.createElement("span");
    means.className = "means";
    means.textContent = entry.means;
    item.append(name, what, means);
    item.addEventListener("mousedown", () => { location.href = item.dataset.url; });
    return item;
  }));
  chosen = -1;
  list.hidden = entries.length === 0;
  input.setAttribute("aria-expanded", String(!list.hidden));
  input.removeAttribute("aria-activedescendant");
}
function choose(number) {
  const items = [...list.children];
  if (!items.length) return;
  chosen = (number + items.length) % items.length;
  items.forEach((item, each) => item.setAttribute("aria-selected", String(each === chosen)));
  items[chosen].scrollIntoView({ block: "nearest" });
  input.setAttribute("aria-activedescendant", items[chosen].id);
}
input.addEventListener("input", show);
input.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown") { choose(chosen + 1); event.preventDefault(); }
  if (event.key === "ArrowUp") { choose(chosen - 1); event.preventDefault(); }
  if (event.key === "Escape") { input.value = ""; show(); }
  if (event.key === "Enter") {
    const item = list.children[Math.max(chosen, 0)];
    if (item) location.href = item.dataset.url;
  }
});
input.addEventListener("blur", () => { list.hidden = true; input.setAttribute("aria-expanded", "false"); });
input.addEventListener("focus", show);
