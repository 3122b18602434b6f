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

  // ---- Plotly, unpacked when the first figure is wanted.
  let loading = null;
  const plotly = () => loading ??= (async () => {
    const packed = Uint8Array.from(atob(document.getElementById("plotly-gz").textContent.trim()), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.nonce = document.currentScript?.nonce || document.querySelector("script[nonce]").nonce;
    script.textContent = await new Response(stream).text();
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
    ...(spec.labels ? { tickmode: "array", tickvals: spec.labels.map((_, i) => i), ticktext: narrow ? spec.labels.map(() => "") : spec.labels.map((l) => escapeText(short(short(l[0], 20) + " · " + l[1], 52))), ticks: "" } : {}),
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
    const left = labelled ? (narrow ? 12 : Math.min(340, width * 0.42)) : beside, right = bars ? (spec.traces.some((t) => t.colorbar && t.colorbar.title) ? 72 : 54) : 12;
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
      if (narrow && panel.y.labels) panel.y.labels.forEach((l, row) => layout.annotations.push({ text: escapeText(short(short(l[0], 16) + " · " + l[1], Math.floor(width / 6.6))), showarrow: false, xref: "paper", x: 0.02, yref: "y" + (i ? i + 1 : ""), y: row - 0.42, xanchor: "left", yanchor: "middle", font: { size: 10.5, color: "$muted" } }));
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
          ...(trace.colorbar.title ? { title: { text: escapeText(short(trace.colorbar.title, Math.floor((y[1] - y[0]) * height / 6))), side: "right", font: { size: 11 } } } : {}) };
      }
      traces.push(copy);
    }
    return { traces, layout };
  };

  const draw = async (figure) => {
    const canvas = figure.querySelector(".canvas");
    let spec = drawn.get(figure);
    if (!spec) {
      spec = JSON.parse(figure.querySelector("script").textContent);
      if (spec.panels.some((p) => p.y.labels)) // room for the labels above each row on a phone
        spec.panels.forEach((p) => { p.wide = p.height; p.tall = p.height + 12 * p.y.labels.length; });
      drawn.set(figure, spec);
    }
    try {
      const Plotly = loading && window.Plotly || await plotly();
      const width = Math.floor(canvas.clientWidth);
      if (!width) { drawn.delete(figure); return; }
      spec.panels.forEach((p) => { if (p.wide) p.height = width < 520 ? p.tall : p.wide; });
      const { traces, layout } = layOut(spec, width);
      const style = getComputedStyle(root);
      const file = spec.title.replace(/[^a-z0-9]+/gi, "-").replace(/^-|-$/g, "").toLowerCase();
      canvas.querySelector(".waiting")?.remove();
      canvas.style.minHeight = "0";
      await Plotly.react(canvas, resolve(traces, style), resolve(layout, style), {
        displaylogo: false, responsive: false, scrollZoom: false, doubleClick: false,
        modeBarButtons: [["toImage", { name: "png", title: "Download as PNG", icon: Plotly.Icons.disk, click: (gd) => save(gd, "png", file) }]],
        toImageButtonOptions: { format: "svg", filename: file },
      });
      figure.dataset.drawn = width + (isDark() ? "d" : "l");
      figure.dataset.file = file;
    } catch (error) {
      canvas.textContent = "This figure could not be drawn here (" + error.message + "). Its numbers are in the tables and in components.parquet.";
    }
  };
  const save = (canvas, format, filename) => window.Plotly.downloadImage(canvas, { format, filename, width: canvas.clientWidth, height: canvas.clientHeight, scale: format === "png" ? 3 : 1 });
  const redrawAll = () => drawn.forEach((_, figure) => draw(figure));

  const figures = all("figure.plot");
  const watch = new IntersectionObserver((entries) => entries.forEach((e) => {
    if (e.isIntersecting) { watch.unobserve(e.target); draw(e.target); }
  }), { rootMargin: "300px" });
  figures.forEach((figure) => {
    watch.observe(figure);
    all("[data-save]", figure).forEach((button) => button.addEventListener("click", async () => {
      await draw(figure);
      save(figure.querySelector(".canvas"), button.dataset.save, figure.dataset.file);
    }));
  });
  let settle;
  addEventListener("resize", () => { clearTimeout(settle); settle = setTimeout(() => drawn.forEach((_, f) => { if (parseInt(f.dataset.drawn) !== Math.floor(f.querySelector(".canvas").clientWidth)) draw(f); }), 150); });

  // ---- Tables that sort, and leave as CSV.
  const cellValue = (row, at) => { const cell = row.cells[at]; return cell.dataset.sort ?? cell.textContent.trim().replace(/,/g, ""); };
  all("table.sortable").forEach((table) => {
    const headings = all("thead th", table);
    headings.forEach((heading, at) => heading.querySelector("button").addEventListener("click", () => {
      const direction = heading.getAttribute("aria-sort") === "descending" ? "ascending" : "descending";
      headings.forEach((h) => h.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", direction);
      const body = table.tBodies[0], sign = direction === "ascending" ? 1 : -1;
      const missing = (v) => v === "" || v === "–";
      const order = (a, b) => {
        const [x, y] = [cellValue(a, at), cellValue(b, at)];
        if (missing(x) || missing(y)) return missing(x) - missing(y);
        return sign * (isNaN(x) || isNaN(y) ? x.localeCompare(y) : x - y);
      };
      body.append(...[...body.rows].sort(order));
    }));
  });
  all("[data-csv]").forEach((button) => button.addEventListener("click", () => {
    const table = button.closest("details").querySelector("table");
    const quote = (text) => '"' + text.replace(/"/g, '""') + '"';
    const head = all("thead th", table).map((h) => quote(h.textContent.trim()));
    const lines = [...table.tBodies[0].rows].map((row) => [...row.cells].map((_, at) => quote(cellValue(row, at).replace(/^–$/, ""))));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([[head, ...lines].map((l) => l.join(",")).join("\r\n") + "\r\n"], { type: "text/csv" }));
    link.download = button.dataset.csv + ".csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }));

  // ---- Deep links open what they point at; printing opens and draws everything.
  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    if (target.matches("details")) target.open = true;
    for (let up = target.parentElement; up; up = up.parentElement) if (up.matches("details")) up.open = true;
    target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  if (location.hash) reveal();
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = all("details:not([open])");
    opened.forEach((d) => { d.open = true; });
    figures.filter((f) => !drawn.has(f)).forEach(draw);
  });
  addEventListener("afterprint", () => { opened.forEach((d) => { d.open = false; }); });
  if (figures.length) (window.requestIdleCallback ?? setTimeout)(() => plotly().catch(() => {}));

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
