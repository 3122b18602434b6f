"use strict";
(() => {
  const root = document.documentElement;
  const all = (selector, from = document) => [...from.querySelectorAll(selector)];

  // ---- Theme: the system's unless the reader chose; the choice is kept where the browser allows.
  const systemDark = matchMedia("(prefers-color-scheme: dark)");
  const remembered = { get: () => { try { return localStorage.getItem("theme"); } catch { return null; } },
                       set: (value) => { try { localStorage.setItem("theme", value); } catch { /* a file may not */ } } };
  const isDark = () => (root.dataset.theme ?? (systemDark.matches ? "dark" : "light")) === "dark";
  const toggle = document.getElementById("theme");
  const showTheme = () => { toggle.textContent = isDark() ? "Light theme" : "Dark theme"; redrawAll(); };
  const chosen = remembered.get();
  if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen;
  toggle.hidden = false;
  toggle.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; remembered.set(root.dataset.theme); showTheme(); });
  systemDark.addEventListener("change", showTheme);

  // ---- What travels packed: gzip in base64.
  const unpacked = (text) => {
    const packed = Uint8Array.from(atob(text.trim()), (c) => c.charCodeAt(0));
    return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  };

  // ---- Plotly, unpacked when the first figure is wanted.
  let loading = null;
  const plotly = () => loading ??= (async () => {
    const script = document.createElement("script");
    script.nonce = document.currentScript?.nonce || document.querySelector("script[nonce]").nonce;
    script.textContent = await unpacked(document.getElementById("plotly-gz").textContent);
    document.head.append(script);
    return window.Plotly;
  })();

  // ---- Figures: specifications with colour tokens, resolved against the page's own variables.
  const drawn = new Map();
  const resolve = (value, style) => {
    if (typeof value === "string") return value[0] === "$" ? style.getPropertyValue("--" + value.slice(1)).trim() : value;
    if (Array.isArray(value)) return value.map((v) => resolve(v, style));
    if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, resolve(v, style)]));
    return value;
  };
  const key = (letter, at) => letter + "axis" + (at ? at + 1 : "");
  const escapeText = (text) => String(text).replace(/[&<>]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[c]);

  const escaped = (value) => Array.isArray(value) ? value.map(escaped) : escapeText(value);
  const LETTER = 6.3; // pixels, at the size of ticks
  const letters = (ticks) => Math.max(0, ...ticks.map((t) => t[1].length));
  // Two lines of a title at most, so that a long one stays beside its axis.
  const lines = (title, pixels) => {
    const most = Math.max(8, Math.floor(pixels / 6.6));
    if (!title || title.length <= most) return title ? [title] : [];
    const cut = title.lastIndexOf(" ", most), at = cut > most / 2 ? cut : most;
    return [title.slice(0, at), short(title.slice(at).trim(), most)];
  };
  // Names that find room: all of them, turned if need be; of numbers those that stay apart.
  const fitted = (spec, pixels, upright) => {
    const place = (v) => spec.type === "log" ? Math.log10(v) : v;
    const names = spec.ticks.map(([at, name]) => [at, short(name, spec.turn || upright ? 24 : 60)]);
    const [low, high] = spec.range, scale = pixels / (high - low), wide = LETTER * letters(names) + 6;
    const apart = names.every(([at], i) => !i || (place(at) - place(names[i - 1][0])) * scale >= wide);
    const turned = Boolean(spec.turn) && !upright && !apart && letters(names) > 4;
    const gap = upright || turned ? 13 : wide;
    let last = -Infinity;
    const kept = names.filter(([at]) => (place(at) - last) * scale >= gap && (last = place(at), true));
    return { kept, turned, below: turned ? Math.min(110, Math.round(LETTER * 0.71 * letters(kept))) : 0 };
  };

  const axis = (spec, narrow, pixels, fit) => ({
    title: { text: lines(spec.title, pixels).map(escapeText).join("<br>"), standoff: 6, font: { size: 12 } }, automargin: false, fixedrange: true,
    showgrid: spec.grid !== false, gridcolor: "$grid", linecolor: "$grid", tickcolor: "$grid",
    zeroline: Boolean(spec.zero), zerolinecolor: "$twin", zerolinewidth: 1, tickfont: { size: 11 }, exponentformat: "power", minexponent: 5,
    ...(spec.dtick ? { dtick: spec.dtick * (narrow && spec.dtick > 1 ? 2 : 1), tick0: 0, tickformat: "d", tickangle: 0 } : {}),
    ...(spec.range ? { range: spec.range } : {}), ...(spec.type ? { type: spec.type } : {}),
    ...(spec.type === "log" ? { dtick: 1, tickformat: ",~d" } : {}), ...(spec.matches ? { matches: spec.matches } : {}),
    ...(fit ? { tickmode: "array", tickvals: fit.kept.map((t) => t[0]), ticktext: fit.kept.map((t) => escapeText(t[1])), tickangle: fit.turned ? -45 : 0 } : {}),
    ...(spec.labels ? { tickmode: "array", tickvals: spec.labels.map((_, i) => i), ticktext: narrow ? spec.labels.map(() => "") : spec.labels.map((l) => lines(l, 330).map(escapeText).join("<br>")), ticks: "" } : {}),
  });
  const short = (text, most) => text.length > most ? text.slice(0, most - 1) + "…" : text;

  // Plotly puts names in one row if they fit, else in columns as wide as the widest.
  const legendRows = (names, width) => {
    const wide = names.map((name) => 46 + 6.8 * name.length);
    if (wide.reduce((a, b) => a + b, 0) <= width) return 1;
    return Math.ceil(names.length / Math.max(1, Math.floor(width / Math.max(...wide))));
  };

  // Domains are laid out here and not by Plotly: rows have their own heights, columns the page's.
  const layOut = (spec, width) => {
    const narrow = width < 520;
    const columns = Math.min(spec.columns[narrow ? 1 : 0], spec.panels.length);
    const labelled = spec.panels.some((p) => p.y.labels);
    const bars = spec.traces.some((t) => t.colorbar);
    const upright = spec.panels.flatMap((p) => p.y.ticks || []);
    const titles = Math.max(...spec.panels.map((p) => lines(p.y.title, p.height - 80).length));
    const beside = upright.length ? Math.min(width / columns * 0.45, LETTER * Math.min(24, letters(upright)) + 12) + 14 * titles + 6 : 48 + 16 * Math.max(0, titles - 1) + Math.max(0, ...spec.panels.map((p) => p.y.room || 0));
    const left = labelled ? (narrow ? 12 : Math.min(340, width * 0.42)) : beside, right = bars ? (spec.traces.some((t) => t.colorbar && t.colorbar.title) ? 86 : 54) : 12;
    const cellWidth = width / columns, across = cellWidth - left - right;
    const fits = spec.panels.map((p) => p.x.ticks && fitted(p.x, across, false));
    const under = spec.panels.map((p, i) => (fits[i] ? fits[i].below : 0) + 14 * Math.max(0, lines(p.x.title, across).length - 1));
    const rows = [];
    spec.panels.forEach((p, i) => { const r = Math.floor(i / columns); rows[r] = Math.max(rows[r] || 0, p.height + under[i]); });
    const named = spec.traces.filter((t) => t.name && t.showlegend !== false).map((t) => short(t.name, Math.floor((width - 50) / 6.8)));
    const legend = spec.legend ? 15 + 19 * legendRows(named, width) : 0, height = rows.reduce((a, b) => a + b, 0) + legend;
    const layout = { width, height, margin: { l: 0, r: 0, t: 0, b: 0 }, annotations: [], shapes: [], paper_bgcolor: "$paper", plot_bgcolor: "$plot", barmode: "overlay", bargap: 0,
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: "$ink" }, dragmode: false, hovermode: "closest", separators: ".,",
      hoverlabel: { bgcolor: "$raised", bordercolor: "$rule", font: { color: "$ink", size: 12 } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: "$muted", activecolor: "$ink" },
      showlegend: spec.legend, legend: { orientation: "h", x: 0, y: 1, xanchor: "left", yanchor: "top", font: { size: 12 }, itemclick: false, itemdoubleclick: false } };
    spec.panels.forEach((panel, i) => {
      const r = Math.floor(i / columns), c = i % columns;
      const above = legend + rows.slice(0, r).reduce((a, b) => a + b, 0);
      const top = above + (panel.title ? 28 : 8), bottom = above + rows[r] - (panel.x.title ? 42 : 26) - under[i];
      const x0 = c * cellWidth + left, x1 = (c + 1) * cellWidth - right;
      const xs = layout[key("x", i)] = { ...axis(panel.x, narrow, across, fits[i]), domain: [x0 / width, x1 / width], anchor: "y" + (i ? i + 1 : "") };
      const ys = layout[key("y", i)] = { ...axis(panel.y, narrow, bottom - top, panel.y.ticks && fitted(panel.y, bottom - top, true)), domain: [1 - bottom / height, 1 - top / height], anchor: "x" + (i ? i + 1 : "") };
      if (panel.y.square) { Object.assign(xs, { constrain: "domain", constraintoward: "left" }); Object.assign(ys, { constrain: "domain", constraintoward: "top", scaleanchor: "x" + (i ? i + 1 : "") }); }
      if (panel.title) layout.annotations.push({ text: "<b>" + escapeText(short(panel.title, Math.floor((cellWidth - (narrow && columns > 1 ? 8 : left)) / 6.6))) + "</b>", showarrow: false, xref: "paper", yref: "paper", x: (narrow && columns > 1 ? c * cellWidth + 8 : x0) / width, y: 1 - (above + 4) / height, xanchor: "left", yanchor: "top", font: { size: narrow ? 11 : 12, color: "$ink" } });
      if (narrow && panel.y.labels) panel.y.labels.forEach((l, row) => layout.annotations.push({ text: lines(l, width * 1.1).map(escapeText).join("<br>"), align: "left", showarrow: false, xref: "paper", x: 0.02, yref: "y" + (i ? i + 1 : ""), y: row - 0.2, xanchor: "left", yanchor: "bottom", font: { size: 10.5, color: "$muted" } }));
    });
    const traces = [];
    for (const trace of spec.traces) {
      if (trace.shape) { layout.shapes.push(trace.shape); continue; }
      const copy = { ...trace };
      if (trace.text) copy.text = escaped(trace.text);
      if (trace.name) copy.name = escapeText(short(trace.name, Math.floor((width - 50) / 6.8)));
      if (trace.colorbar) {
        const x = layout[key("x", trace.colorbar.panel)].domain, y = layout[key("y", trace.colorbar.panel)].domain;
        copy.colorbar = { x: x[1], xpad: 6, y: (y[0] + y[1]) / 2, len: y[1] - y[0], thickness: 8, outlinewidth: 0, tickfont: { size: 10 }, ypad: 0, nticks: 5,
          ...(trace.colorbar.title ? { title: { text: lines(trace.colorbar.title, (y[1] - y[0]) * height).map(escapeText).join("<br>"), side: "right", font: { size: 11 } } } : {}) };
      }
      traces.push(copy);
    }
    return { traces, layout };
  };

  const specOf = (figure) => {
    let spec = drawn.get(figure);
    if (!spec) {
      spec = JSON.parse(figure.querySelector("script").textContent);
      if (spec.panels.some((p) => p.y.labels)) // room for the labels above each row on a phone
        spec.panels.forEach((p) => { p.wide = p.height; p.tall = p.height + 22 * p.y.labels.length; });
      drawn.set(figure, spec);
    }
    return spec;
  };
  const laidOut = (figure, width) => {
    const spec = specOf(figure);
    spec.panels.forEach((p) => { if (p.wide) p.height = width < 520 ? p.tall : p.wide; });
    return layOut(spec, width);
  };
  // As tall as it will be, before it is drawn: a link lands where it says.
  const reserve = (figure) => {
    const canvas = figure.querySelector(".canvas"), width = Math.floor(canvas.clientWidth);
    if (width) canvas.style.minHeight = laidOut(figure, width).layout.height + "px";
  };

  const draw = async (figure) => {
    const canvas = figure.querySelector(".canvas");
    try {
      const Plotly = loading && window.Plotly || await plotly();
      const width = Math.floor(canvas.clientWidth);
      if (!width) return;
      const { traces, layout } = laidOut(figure, width);
      const style = getComputedStyle(root);
      const file = figure.dataset.file;
      const button = (format, icon) => ({ name: "Save as " + format.toUpperCase(), title: "Save as " + format.toUpperCase(), icon, click: (gd) => save(gd, format, file) });
      canvas.querySelector(".waiting")?.remove();
      canvas.style.minHeight = layout.height + "px";
      await Plotly.react(canvas, resolve(traces, style), resolve(layout, style), {
        displaylogo: false, responsive: false, scrollZoom: false, doubleClick: false,
        modeBarButtons: [[button("svg", Plotly.Icons.camera), button("png", Plotly.Icons.disk)]],
      });
      figure.dataset.drawn = width + (isDark() ? "d" : "l");
    } catch (error) {
      canvas.textContent = "This figure could not be drawn here (" + error.message + "). Its numbers are in the tables and in components.parquet.";
    }
  };
  const save = (canvas, format, filename) => window.Plotly.downloadImage(canvas, { format, filename, width: canvas.clientWidth, height: canvas.clientHeight, scale: format === "png" ? 3 : 1 });
  const figures = all("figure.plot");
  const redrawAll = () => figures.filter((f) => f.dataset.drawn).forEach(draw);
  const watch = new IntersectionObserver((entries) => entries.forEach((e) => {
    if (e.isIntersecting) { watch.unobserve(e.target); draw(e.target); }
  }), { rootMargin: "300px" });
  all("details").forEach((fold) => fold.addEventListener("toggle", () => {
    if (fold.open) all("figure.plot:not([data-drawn])", fold).forEach(reserve);
  }));
  figures.forEach((figure) => {
    reserve(figure);
    watch.observe(figure);
    all("[data-save]", figure).forEach((button) => button.addEventListener("click", async () => {
      await draw(figure);
      save(figure.querySelector(".canvas"), button.dataset.save, figure.dataset.file);
    }));
  });
  let settle;
  addEventListener("resize", () => { clearTimeout(settle); settle = setTimeout(() => figures.forEach((f) => { if (!f.dataset.drawn) reserve(f); else if (parseInt(f.dataset.drawn) !== Math.floor(f.querySelector(".canvas").clientWidth)) draw(f); }), 150); });

  // ---- What the page says and gives away: copied text, saved files.
  const status = document.getElementById("said");
  const say = (text) => { status.textContent = ""; requestAnimationFrame(() => { status.textContent = text; }); };
  const answer = (button, text) => { // in the button too, for a moment
    say(text);
    const label = button.firstChild, before = button.dataset.label ??= label.textContent;
    label.textContent = text.startsWith("Copied") ? "Copied" : text.startsWith("Saved") ? "Saved" : "Not copied";
    clearTimeout(button.timer);
    button.timer = setTimeout(() => { label.textContent = before; }, 1600);
  };
  const copy = async (text) => {
    try { await navigator.clipboard.writeText(text); return true; } catch { /* an older or a stricter browser */ }
    const area = document.body.appendChild(Object.assign(document.createElement("textarea"), { value: text, className: "unseen" }));
    const focused = document.activeElement;
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    focused?.focus();
    return done;
  };
  const give = (text, name, type) => {
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(new Blob([text], { type })), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };
  all(".tools[hidden], .copy-link[hidden]").forEach((e) => { e.hidden = false; });
  all("[data-link]").forEach((button) => button.addEventListener("click", async () => {
    const done = await copy(location.href.split("#")[0] + "#" + button.dataset.link);
    answer(button, done ? "Copied the link" : "The link could not be copied");
  }));
  let written = null;
  const texts = () => written ??= unpacked(document.getElementById("texts").textContent).then(JSON.parse);
  // Before the click, after which a browser may soon refuse to copy.
  all(".copying").forEach((tools) => ["pointerenter", "focusin"].forEach((near) => tools.addEventListener(near, texts, { once: true })));
  all("[data-copy]").forEach((button) => button.addEventListener("click", async () => {
    const { copy: format, unit } = button.dataset, done = await copy((await texts())[unit][format]);
    answer(button, done ? `Copied the table, a row a ${unit}, as ${button.firstChild.textContent.replace("Copy ", "")}` : "The table could not be copied");
  }));
  all("[data-save-table]").forEach((button) => button.addEventListener("click", async () => {
    const unit = button.dataset.saveTable;
    give((await texts())[unit].csv, unit + "s.csv", "text/csv");
    answer(button, "Saved as " + unit + "s.csv");
  }));

  // ---- Tables of components: a few rows stand in the page, all that it carries are sorted and saved.
  // Numbers as typeset.py writes them.
  const tiny = (size) => size.toExponential(0).replace("e-", "e−");
  const magnitude = (size) => size === Math.floor(size) || size >= 1000 ? size.toLocaleString("en-US", { maximumFractionDigits: 0 })
    : size >= 100 ? size.toFixed(1) : (size > 0.99 && size < 1) || (size >= 0.001 && size < 0.1) ? size.toFixed(3) : size < 0.001 ? tiny(size) : size.toFixed(2);
  const WRITTEN = {
    effect: (v) => v === null ? "not defined" : (v < 0 ? "−" : v > 0 ? "+" : "") + magnitude(Math.abs(v)),
    q: (v) => v === null ? "–" : v === 0 ? "< 1e−300" : v >= 0.001 ? String(Number(v.toPrecision(2))) : tiny(v),
    passed: (v) => v === null ? "–" : v ? "yes" : "no",
    layer: String, index: (v) => v === null ? "–" : v.toLocaleString("en-US"),
  };
  const NUMBERS = ["layer", "index", "effect", "q"];
  const componentRow = (data, names, at) => {
    const row = document.createElement("tr");
    names.forEach((name, i) => {
      const value = data[name][at], cell = row.appendChild(document.createElement(i ? "td" : "th"));
      if (!i) cell.scope = "row";
      if (NUMBERS.includes(name)) cell.className = "num";
      const into = name === "type" && ["recall", "reasoning"].includes(value) ? cell.appendChild(Object.assign(document.createElement("span"), { className: "task " + value })) : cell;
      into.textContent = (WRITTEN[name] ?? ((v) => v || "–"))(value);
    });
    return row;
  };
  all("details.components:has(.packed)").forEach((fold) => {
    const table = fold.querySelector("table"), body = table.tBodies[0], headings = all("thead th", table);
    const names = headings.map((h) => h.firstChild.dataset.column), more = fold.querySelector("[data-all]");
    let shown = body.rows.length, order = null, loaded = null;
    const data = () => loaded ??= unpacked(fold.querySelector(".packed").textContent).then((text) => {
      const columns = JSON.parse(text);
      order = columns.effect.map((_, at) => at);
      return columns;
    });
    const fill = (columns) => body.replaceChildren(...order.slice(0, shown).map((at) => componentRow(columns, names, at)));
    headings.forEach((heading, at) => heading.firstChild.addEventListener("click", async () => {
      const columns = await data(), values = columns[names[at]], numeric = NUMBERS.includes(names[at]);
      const before = heading.getAttribute("aria-sort");
      const direction = before ? (before === "descending" ? "ascending" : "descending") : numeric ? "descending" : "ascending";
      headings.forEach((h) => h.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", direction);
      const sign = direction === "ascending" ? 1 : -1, missing = (v) => v === null || v === "";
      order.sort((a, b) => {
        const [x, y] = [values[a], values[b]];
        if (missing(x) || missing(y)) return missing(x) - missing(y);
        return sign * (numeric ? x - y : String(x).localeCompare(String(y)));
      });
      fill(columns);
      say(`Sorted by ${heading.textContent}, ${direction}`);
    }));
    more?.addEventListener("click", async () => {
      const columns = await data();
      shown = order.length;
      fill(columns);
      more.remove();
      table.closest(".scroller").focus();
      say(`All ${shown.toLocaleString("en-US")} are shown`);
    });
    fold.querySelector("[data-csv]").addEventListener("click", async (event) => {
      const button = event.currentTarget, columns = await data(), fields = Object.keys(columns);
      const quoted = (v) => v === null ? "" : /[",\r\n]/.test(v) ? '"' + String(v).replace(/"/g, '""') + '"' : String(v);
      const lines = [fields.join(","), ...order.map((at) => fields.map((f) => quoted(columns[f][at])).join(","))];
      give(lines.join("\r\n") + "\r\n", button.dataset.csv + ".csv", "text/csv");
      answer(button, "Saved as " + button.dataset.csv + ".csv");
    });
  });

  // ---- Answers: the examples stand in the page; a filter looks at all that it carries.
  const SHOWN = 200; // rows, at most: a filter narrows them
  all(".sheet-fold").forEach((fold) => {
    const body = fold.querySelector("tbody"), examples = [...body.rows], tools = fold.querySelector(".filter");
    const field = (name) => fold.querySelector(`[data-field=${name}]`).value, found = fold.querySelector(".found");
    let loaded = null;
    const data = () => loaded ??= unpacked(fold.querySelector(".packed").textContent).then(JSON.parse);
    const row = (columns, at) => {
      const made = document.createElement("tr"), right = columns.right[at];
      const add = (text, kind, tag = "td") => made.appendChild(Object.assign(document.createElement(tag), { textContent: text, className: kind ?? "" }));
      add(columns.task[at], "", "th").scope = "row";
      add(columns.prompt[at], "prompt");
      add(columns.answer[at]);
      const mark = Object.assign(document.createElement("span"), { className: "mark " + (right === null ? "shown" : right ? "yes" : "no"), textContent: (right === null ? "" : right ? "✓ " : "✗ ") + columns.chosen[at] });
      add("").append(mark);
      add(JSON.parse(columns.options[at]).join(", ") || "–");
      [columns.log_probability[at], columns.best_other[at]].forEach((v) => add(v === null ? "–" : (v < 0 ? "−" : "") + magnitude(Math.abs(v)), "num"));
      return made;
    };
    const apply = async () => {
      const words = field("words").toLowerCase().split(/\s+/).filter(Boolean), task = field("task"), right = field("right");
      if (!words.length && !task && !right) { body.replaceChildren(...examples); found.value = ""; return; }
      const columns = await data();
      const fits = columns.task.map((_, at) => at).filter((at) => (!task || columns.task[at] === task) && (!right || columns.right[at] === (right === "right"))
        && words.every((w) => (columns.prompt[at] + " " + columns.answer[at] + " " + columns.chosen[at]).toLowerCase().includes(w)));
      body.replaceChildren(...fits.slice(0, SHOWN).map((at) => row(columns, at)));
      found.value = `${fits.length.toLocaleString("en-US")} of ${columns.task.length.toLocaleString("en-US")}` + (fits.length > SHOWN ? `, the first ${SHOWN} shown` : "");
    };
    tools.hidden = false;
    tools.addEventListener("input", apply);
  });

  // ---- Deep links open what they point at; printing opens and draws everything.
  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    if (target.matches("details")) target.open = true;
    for (let up = target.parentElement; up; up = up.parentElement) if (up.matches("details")) up.open = true;
    all(":scope > details", target).filter((d) => target.matches(".fold")).forEach((d) => { d.open = true; });
    figures.filter((f) => !f.dataset.drawn).forEach(reserve);
    target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  // A second click on the same link leads there again.
  all('a[href^="#"]').forEach((a) => a.addEventListener("click", () => { if (a.hash === location.hash) reveal(); }));
  if (location.hash) reveal();
  // On paper everything is open, drawn, light, and as wide as the paper.
  let opened = [], theme;
  addEventListener("beforeprint", () => {
    opened = all("details:not([open])");
    opened.forEach((d) => { d.open = true; });
    figures.forEach((f) => { if (!f.dataset.drawn) reserve(f); });
    theme = root.dataset.theme;
    root.dataset.theme = "light";
    root.classList.add("printing");
    figures.forEach(draw);
  });
  addEventListener("afterprint", () => {
    opened.forEach((d) => { d.open = false; });
    root.classList.remove("printing");
    if (theme) root.dataset.theme = theme; else delete root.dataset.theme;
    redrawAll();
  });
  if (figures.length) (window.requestIdleCallback ?? setTimeout)(() => plotly().catch(() => {}));

  // ---- Filters: predictions that fit, and what stands for them in the table and above figures.
  const filter = document.querySelector("form.filter");
  if (filter) {
    const field = filter.elements, predictions = all(".prediction"), keyed = all("[data-key]:not(.prediction)");
    const said = new Map(predictions.map((p) => [p, (p.querySelector("summary").textContent + " " + p.closest(".claim").querySelector("h2").textContent).toLowerCase()]));
    let unfolded = [];
    const apply = () => {
      const words = field.words.value.toLowerCase().split(/\s+/).filter(Boolean);
      const chosen = ["outcome", "model", "criterion"].filter((name) => field[name].value);
      const active = words.length > 0 || chosen.length > 0;
      const fits = predictions.filter((p) => chosen.every((name) => p.dataset[name] === field[name].value) && words.every((w) => said.get(p).includes(w)));
      const keys = new Set(fits.map((p) => p.dataset.key)), shown = new Set(fits);
      predictions.forEach((p) => p.classList.toggle("off", !shown.has(p)));
      keyed.forEach((e) => e.classList.toggle(e.matches(".cell") ? "dim" : "off", !keys.has(e.dataset.key)));
      all("#verdicts .matrix tbody tr").forEach((row) => row.classList.toggle("off", !all("[data-key]", row).some((e) => keys.has(e.dataset.key))));
      all(".on-model").forEach((on) => on.classList.toggle("off", !all(".prediction", on).some((p) => shown.has(p))));
      all(".claim").forEach((claim) => claim.classList.toggle("off", !all(".prediction", claim).some((p) => shown.has(p))));
      unfolded.forEach((d) => { d.open = false; });
      unfolded = active ? all(".on-model:not(.off):not([open])") : [];
      unfolded.forEach((d) => { d.open = true; });
      figures.filter((f) => !f.dataset.drawn).forEach(reserve);
      const many = predictions.length.toLocaleString("en-US");
      field.found.value = active ? `${fits.length.toLocaleString("en-US")} of ${many} predictions` : `${many} prediction${predictions.length === 1 ? "" : "s"}`;
      document.querySelector(".nothing").hidden = fits.length > 0;
    };
    filter.hidden = false;
    filter.addEventListener("input", apply);
    filter.addEventListener("submit", (event) => event.preventDefault());
    document.querySelector("[data-clear]").addEventListener("click", () => { filter.reset(); apply(); });
    all('a[href^="#"]').forEach((a) => a.addEventListener("click", () => { // a link into what is filtered away
      const target = document.getElementById(a.hash.slice(1));
      if (target?.closest(".off")) { filter.reset(); apply(); }
    }));
    apply();
  }

  // ---- From claim to claim.
  const steps = document.querySelector(".steps");
  if (steps) {
    steps.hidden = false;
    all("[data-step]").forEach((button) => button.addEventListener("click", () => {
      const claims = all(".claim:not(.off)"), top = 70; // below the bar of links
      const next = Number(button.dataset.step) > 0 ? claims.find((c) => c.getBoundingClientRect().top > top) : claims.filter((c) => c.getBoundingClientRect().top < top - 40).at(-1);
      if (next) { history.replaceState(null, "", "#" + next.id); next.scrollIntoView(); say(next.querySelector("h2").textContent.trim()); }
    }));
  }

  // ---- Where the reader is.
  const links = new Map(all(".contents a").map((a) => [a.hash.slice(1), a]));
  const sections = all("main > section[id]"), inView = new Set();
  const here = new IntersectionObserver((entries) => {
    entries.forEach((e) => inView[e.isIntersecting ? "add" : "delete"](e.target));
    links.forEach((a) => a.removeAttribute("aria-current"));
    const current = sections.filter((s) => inView.has(s)).at(-1);
    if (current) links.get(current.id)?.setAttribute("aria-current", "true");
  }, { rootMargin: "0px 0px -60% 0px" });
  sections.forEach((section) => here.observe(section));
  showTheme();
})();
