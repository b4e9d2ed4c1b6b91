"use strict";
// Filters: the page's numbers are added up here for what its reader picks, and the address keeps the choice.
const NUMBERS = JSON.parse(document.getElementById("numbers").textContent);
const form = document.getElementById("filters");
const ALL = -1, MOST_DAYS = 62;
const FIRST = Date.parse(NUMBERS.first), DAY = 86400000;
// A day is its number from the first on.
const dated = (day) => new Date(FIRST + day * DAY).toISOString().slice(0, 10);
const numbered = (text) => Math.round((Date.parse(text) - FIRST) / DAY);
const LAST = numbered(NUMBERS.last);
function month(day, later = 0) {
  const at = new Date(FIRST + day * DAY);
  return Math.round((Date.UTC(at.getUTCFullYear(), at.getUTCMonth() + later, 1) - FIRST) / DAY);
}
const MONTHS = new Map();
for (let day = month(0); day <= LAST; day += 1) MONTHS.set(day, month(day));
// Of the first and the last month the data may have a part.
const isWhole = (start, period) => Math.max(start, 0) >= period.from && Math.min(month(start, 1) - 1, LAST) <= period.to;
const EVERYTHING = { from: 0, to: LAST };
const isPicked = (period) => period.from > 0 || period.to < LAST;
const named = (dimension, value) => String(NUMBERS.values[dimension][value]);
const SPECS = new Map(NUMBERS.charts.map((spec) => [spec.id, { ...spec, cube: NUMBERS.cubes[spec.cube] }]));
const drawn = new Map([...SPECS.keys()].map((id) => {
  const plot = document.getElementById("chart-" + id);
  return [id, { plot, traces: [...plot.data] }];
}));

function shown(value, unit) {
  if (value === null) return "–";
  const fixed = (digits) => value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  if (unit.digits !== undefined) return fixed(unit.digits);
  if (unit === "share") return (value * 100).toFixed(1) + "%";
  return fixed(Number.isInteger(value) || Math.abs(value) >= 1000 ? 0 : 2);
}

// What is picked. What the address says that there is not is left out.
function picked() {
  const said = new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
  const day = (name, otherwise) => {
    const number = numbered(said.get(name) ?? "");
    return Number.isNaN(number) ? otherwise : Math.min(Math.max(number, 0), LAST);
  };
  const choice = { from: day("from", 0), to: day("to", LAST), by: {}, inside: {} };
  choice.to = Math.max(choice.from, choice.to);
  for (const [name, dimension] of Object.entries(NUMBERS.filters)) {
    const at = (NUMBERS.values[dimension] ?? []).map(String).indexOf(said.get(name) ?? "");
    if (at >= 0) choice.by[dimension] = at;
  }
  for (const spec of SPECS.values()) {
    const at = isNested(spec) ? NUMBERS.values[spec.own[0]].map(String).indexOf(said.get(spec.id) ?? "") : ALL;
    if (at >= 0) choice.inside[spec.id] = at;
  }
  return choice;
}
function pick(choice) {
  const said = new URLSearchParams();
  if (isPicked(choice)) { said.set("from", dated(choice.from)); said.set("to", dated(choice.to)); }
  for (const [name, dimension] of Object.entries(NUMBERS.filters)) {
    if (dimension in choice.by) said.set(name, named(dimension, choice.by[dimension]));
  }
  for (const [id, value] of Object.entries(choice.inside)) said.set(id, named(SPECS.get(id).own[0], value));
  history.pushState(null, "", location.pathname + location.search + ([...said].length ? "#" + said : ""));
  show();
}
// A category that consists of something else.
function isNested(spec) { return Boolean(spec.cube) && !spec.time && spec.own.length === 2; }

// The sums of parts over a period and a choice: in all, or by time ("day", "month") and by dimensions.
function sums(cube, parts, period, by, time = null, dimensions = []) {
  const found = new Map();
  const wanted = cube.dimensions.map((dimension) => by[dimension] ?? ALL);
  const grouped = dimensions.map((dimension) => cube.dimensions.indexOf(dimension));
  const add = (day, value, part, number) => {
    const key = [time === "month" ? MONTHS.get(day) ?? day : time && day, ...grouped.map(value)];
    const under = key.join();
    if (!found.has(under)) found.set(under, { key, sums: parts.map(() => null) });
    if (number !== null) found.get(under).sums[part] += number;
  };
  const isIn = (day) => (cube.grain === "day" ? day >= period.from && day <= period.to : isWhole(day, period));
  parts.forEach((name, part) => {
    if (name in cube.parts) {
      const { point, values } = cube.parts[name];
      cube.days.forEach((day, cell) => {
        if (day === null ? time || isPicked(period) : !isIn(day)) return;
        if (!wanted.every((value, at) => value === ALL || cube.keys[at][cell] === value)) return;
        add(day, (at) => cube.keys[at][cell], part, values[cell]);
      });
      for (const each of found.values()) if (each.sums[part] !== null) each.sums[part] /= 10 ** point;
    } else if (time === "month" || isMonth(period)) {
      // What can't be added up is there for each month and choice.
      for (const [start, ...row] of cube.apart[name]) {
        const number = row.pop();
        const isAsked = wanted.every((value, at) => (grouped.includes(at) && value === ALL ? row[at] !== ALL : row[at] === value));
        if (isAsked && isWhole(start, period)) add(start, (at) => row[at], part, number);
      }
    }
  });
  return [...found.values()];
}
function isMonth(period) {
  const start = month(period.from);
  return Math.max(start, 0) === period.from && Math.min(month(start, 1) - 1, LAST) === period.to;
}
function computed(metric, [above, below]) {
  if (metric.parts.length === 1) return above;
  return above === null || !below ? null : above / below;
}
const partsOf = (names) => [...new Set(names.flatMap((name) => NUMBERS.metrics[name].parts))];
function valueOf(name, parts, found) {
  const metric = NUMBERS.metrics[name];
  return found ? computed(metric, metric.parts.map((part) => found.sums[parts.indexOf(part)])) : null;
}

// What a chart shows: the name of what its rows are about, its series, and its rows, each with where a click leads.
function rowsOf(spec, choice) {
  const { cube } = spec;
  const parts = partsOf(spec.metrics);
  const label = drawn.get(spec.id).about;
  if (spec.time) {
    const days = NUMBERS.metrics[spec.metrics[0]].days;
    if (days > 1) return running(spec, choice, days);
    const daily = cube.grain === "day" && parts.every((part) => part in cube.parts) && choice.to - choice.from < MOST_DAYS;
    const found = sums(cube, parts, choice, choice.by, daily ? "day" : "month", spec.own);
    const times = [...new Set(found.map((each) => each.key[0]))].sort((a, b) => a - b);
    const under = new Map(found.map((each) => [each.key.join(), each]));
    const series = spec.own.length
      ? drawn.get(spec.id).traces.map((trace) => ({ name: trace.name, key: NUMBERS.values[spec.own[0]].map(String).indexOf(trace.name) }))
        .filter((each) => found.some(({ key }) => key[1] === each.key))
      : spec.metrics.map((name) => ({ name: NUMBERS.metrics[name].label }));
    const rows = times.map((day) => ({
      label: dated(day),
      leads: daily ? null : { from: Math.max(day, 0), to: Math.min(month(day, 1) - 1, LAST) },
      values: spec.own.length
        ? series.map(({ key }) => valueOf(spec.metrics[0], parts, under.get([day, key].join())))
        : spec.metrics.map((name) => valueOf(name, parts, under.get([day].join()))),
    }));
    return { about: daily ? "day" : "month", series, rows };
  }
  const inside = choice.inside[spec.id];
  const dimension = spec.own[inside === undefined ? 0 : spec.own.length - 1];
  const by = inside === undefined ? choice.by : { ...choice.by, [spec.own[0]]: inside };
  const isFilter = Object.values(NUMBERS.filters).includes(dimension);
  let rows = sums(cube, parts, choice, by, null, [dimension]).map((each) => ({
    label: named(dimension, each.key[1]), key: each.key[1],
    leads: isFilter ? { by: { ...choice.by, [dimension]: each.key[1] } }
      : isNested(spec) && inside === undefined ? { inside: { ...choice.inside, [spec.id]: each.key[1] } } : null,
    values: spec.metrics.map((name) => valueOf(name, parts, each)),
  }));
  rows.sort(spec.kind === "across" ? (a, b) => b.values[0] - a.values[0] : (a, b) => a.key - b.key);
  if (spec.kind === "across") rows = rows.filter((row) => row.values[0] !== null);
  return {
    about: inside === undefined ? label : dimension.split("__").pop().replace(/_name$/, ""),
    series: spec.metrics.map((name, at) => ({ name: drawn.get(spec.id).traces[at].name })),
    rows: spec.first ? rows.slice(0, spec.first) : rows,
  };
}
// Sums of the days that end with each day, also of those before the period.
function running(spec, choice, days) {
  const [part] = NUMBERS.metrics[spec.metrics[0]].parts;
  const before = { from: Math.max(0, choice.from - days + 1), to: choice.to };
  const by = new Map(sums(spec.cube, [part], before, choice.by, "day").map((each) => [each.key[0], each.sums[0]]));
  const rows = [];
  for (let day = choice.from; day <= choice.to; day += 1) {
    const each = Array.from({ length: days }, (_, back) => by.get(day - back)).filter((value) => value != null);
    rows.push({ label: dated(day), leads: null, values: [each.length ? each.reduce((a, b) => a + b) : null] });
  }
  const shownRows = spec.last && !isPicked(choice) ? rows.slice(-spec.last) : rows;
  return { about: "day", series: [{ name: drawn.get(spec.id).traces[0].name }], rows: shownRows };
}

function element(name, text, properties = {}) {
  return Object.assign(document.createElement(name), { textContent: text, ...properties });
}
function draw(spec, choice) {
  const figure = document.getElementById(spec.id);
  const { plot, traces } = drawn.get(spec.id);
  const { about, series, rows } = rowsOf(spec, choice);
  const unit = NUMBERS.metrics[spec.metrics[0]].unit;
  const across = spec.kind === "across";
  const labels = rows.map((row) => row.label);
  const data = series.map(({ name }, at) => {
    const values = rows.map((row) => row.values[at]);
    const trace = { ...(traces.find((each) => each.name === name) ?? traces[at]), text: values.map((value) => shown(value, unit)) };
    if (spec.kind === "line") trace.mode = rows.length <= 40 ? "lines+markers" : "lines";
    return Object.assign(trace, across ? { y: labels, x: values } : { x: labels, y: values });
  });
  const { layout } = plot;
  const things = across ? "yaxis" : "xaxis";
  const axis = (from, autorange) => ({ ...from, autorange, range: undefined });
  const next = { ...layout, xaxis: axis(layout.xaxis, true), yaxis: axis(layout.yaxis, across ? "reversed" : true) };
  next[things].title = { text: about };
  next[things].type = spec.time && rows.length > 3 ? "date" : "category";
  if (across) next.height = Math.max(300, 90 + 24 * rows.length);
  Plotly.react(plot, data, next);
  drawn.get(spec.id).rows = rows;

  const table = figure.querySelector("table");
  table.tHead.rows[0].replaceChildren(...[about, ...series.map((each) => each.name)].map((name) => element("th", name, { scope: "col" })));
  table.tBodies[0].replaceChildren(...rows.map((row) => {
    const line = document.createElement("tr");
    const first = element("td", row.leads ? "" : row.label);
    if (row.leads) first.append(element("button", row.label, { type: "button", className: "leads", onclick: () => follow(row) }));
    line.append(first, ...row.values.map((value) => element("td", shown(value, unit), { className: "number" })));
    return line;
  }));
  if (!rows.length) table.tBodies[0].insertRow().append(element("td", "none", { colSpan: series.length + 1 }));
  figure.querySelector(".back").hidden = choice.inside[spec.id] === undefined;
}
function follow(row) {
  if (row?.leads) pick({ ...picked(), ...row.leads });
}

const nameOfMonth = (day) => new Date(FIRST + day * DAY).toLocaleDateString("en-GB", { month: "long", year: "numeric", timeZone: "UTC" });
const nameOf = (period) => (isMonth(period) ? nameOfMonth(period.from) : `${dated(period.from)} to ${dated(period.to)}`);
function monthsBefore(period) {
  const start = month(period.from);
  if (Math.max(start, 0) !== period.from || Math.min(month(period.to, 1) - 1, LAST) !== period.to) {
    return { from: 2 * period.from - period.to - 1, to: period.from - 1 };
  }
  let count = 1;
  while (month(start, count) <= period.to) count += 1;
  return { from: month(start, -count), to: start - 1 };
}
function count(figure, choice) {
  const box = document.querySelectorAll(".figures > div")[figure.at];
  const metric = NUMBERS.metrics[figure.metric], cube = NUMBERS.cubes[figure.cube];
  const lastWhole = month(LAST + 1) > LAST ? month(LAST) : month(month(LAST) - 1);
  const period = isPicked(choice) ? choice : { from: Math.max(0, lastWhole), to: month(lastWhole, 1) - 1 };
  const value = (over) => valueOf(figure.metric, metric.parts, sums(cube, metric.parts, over, choice.by)[0]);
  const before = monthsBefore(period);
  const apart = metric.parts.some((part) => part in cube.apart) && !isMonth(period);
  (box.querySelector("dt a") ?? box.querySelector("dt")).textContent = `${metric.label}, ${nameOf(period)}`;
  box.querySelector("dd").textContent = apart ? "–" : shown(value(period), metric.unit);
  const note = box.querySelector(".before") ?? box.appendChild(element("dd", "", { className: "before" }));
  const earlier = before.from < 0 ? "" : `${shown(value(before), metric.unit)} the ${isMonth(period) ? "month" : "period"} before`;
  note.textContent = apart ? "can't be added up: pick one month" : earlier;
}

// What a chart doesn't follow, in words.
function limits(spec) {
  if (!spec.cube) return "Not filtered.";
  const missing = Object.entries(NUMBERS.filters).filter(([, dimension]) => !spec.cube.dimensions.includes(dimension));
  const apart = partsOf(spec.metrics).some((part) => part in spec.cube.apart);
  return [
    missing.length ? `Not filtered by ${missing.map(([name]) => name).join(", ")}.` : "",
    apart ? "Counted anew for each month and choice: whole months only." : spec.cube.grain === "month" ? "Whole months only." : "",
  ].filter(Boolean).join(" ");
}
const PERIODS = [["all", EVERYTHING], ["the last 28 days", { from: Math.max(0, LAST - 27), to: LAST }]];
for (const count of [1, 3, 12]) {
  const end = month(LAST + 1) > LAST ? month(LAST + 1) - 1 : month(LAST) - 1;
  const start = month(end, 1 - count);
  if (start >= 0) PERIODS.push([count > 1 ? `the last ${count} whole months` : "the last whole month", { from: start, to: end }]);
}
for (let year = Number(NUMBERS.last.slice(0, 4)); year >= Number(NUMBERS.first.slice(0, 4)); year -= 1) {
  PERIODS.push([String(year), { from: Math.max(0, numbered(`${year}-01-01`)), to: Math.min(LAST, numbered(`${year}-12-31`)) }]);
}

function show() {
  const choice = picked();
  form.elements.from.value = dated(choice.from);
  form.elements.to.value = dated(choice.to);
  const known = PERIODS.findIndex(([, period]) => period.from === choice.from && period.to === choice.to);
  form.elements.period.value = known < 0 ? "own" : String(known);
  for (const [name, dimension] of Object.entries(NUMBERS.filters)) {
    form.elements[name].value = dimension in choice.by ? named(dimension, choice.by[dimension]) : "";
  }
  form.querySelector("[role=status]").textContent = `Shown: ${nameOf(choice)}; ` + Object.entries(NUMBERS.filters)
    .map(([name, dimension]) => `${name} ${dimension in choice.by ? named(dimension, choice.by[dimension]) : "all"}`).join("; ") + ".";
  form.classList.toggle("picked", isPicked(choice) || Object.keys(choice.by).length > 0);
  for (const spec of SPECS.values()) if (spec.cube) draw(spec, choice);
  for (const figure of NUMBERS.figures) if (figure.cube !== null) count(figure, choice);
}

form.elements.period.append(...PERIODS.map(([name], at) => new Option(name, String(at))), new Option("from and to, as picked", "own"));
form.addEventListener("change", ({ target }) => {
  const choice = picked();
  const dimension = NUMBERS.filters[target.name];
  if (dimension) {
    delete choice.by[dimension];
    if (target.selectedIndex > 0) choice.by[dimension] = target.selectedIndex - 1;
  } else if (target.name === "period") {
    Object.assign(choice, PERIODS[Number(target.value)]?.[1] ?? {});
  } else {
    const day = numbered(target.value);
    if (!Number.isNaN(day)) choice[target.name] = Math.min(Math.max(day, 0), LAST);
    if (choice.from > choice.to) choice.from = choice.to = choice[target.name];
  }
  pick(choice);
});
form.addEventListener("reset", (event) => { event.preventDefault(); pick({ ...EVERYTHING, by: {}, inside: {} }); });
window.addEventListener("popstate", show);
for (const spec of SPECS.values()) {
  const { plot } = drawn.get(spec.id);
  const caption = document.getElementById(spec.id).querySelector("figcaption");
  if (limits(spec)) caption.append(element("p", limits(spec), { className: "limits" }));
  caption.append(element("button", "Back to all", {
    type: "button", className: "back", hidden: true,
    onclick: () => { const choice = picked(); delete choice.inside[spec.id]; pick(choice); },
  }));
  if (spec.cube) {
    drawn.get(spec.id).about = plot.layout[spec.kind === "across" ? "yaxis" : "xaxis"].title.text;
    plot.on("plotly_click", ({ points }) => follow(drawn.get(spec.id).rows?.[points[0].pointNumber]));
  }
}
form.hidden = false;
show();
