"use strict";
// Zoom and cursor, which all pictures have in common, axes on the sky, and values under the cursor.
(() => {
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const [nx, ny] = data.size;
  const WHOLE = { x: 0, y: 0, width: nx }; // in pixels, from the upper left corner
  let view = { ...WHOLE };

  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

  // Numbers of 16 bits between a lowest and a highest one; 65535 is none.
  const unpacked = (packed) => {
    if (!packed) return null;
    const levels = new Uint16Array(bytes(packed.levels).buffer);
    const [low, high] = packed.range;
    return Float64Array.from(levels, (level) => (level === 65535 ? NaN : low + ((high - low) * level) / 65534));
  };

  // Directions on the sky at the nodes of a lattice over the image, between which they are interpolated.
  const nodes = new Float64Array(bytes(data.sky.directions).buffer);
  const lattice = data.sky.n;
  const sky = (x, y) => { // of a place in pixels from the upper left corner; degrees
    const across = Math.min(Math.max((x / nx) * (lattice - 1), 0), lattice - 1);
    const down = Math.min(Math.max((y / ny) * (lattice - 1), 0), lattice - 1);
    const i = Math.min(Math.floor(across), lattice - 2), j = Math.min(Math.floor(down), lattice - 2);
    const u = across - i, v = down - j;
    const mean = [0, 1, 2].map((k) => {
      const at = (row, column) => nodes[3 * (row * lattice + column) + k];
      return (1 - v) * ((1 - u) * at(j, i) + u * at(j, i + 1)) + v * ((1 - u) * at(j + 1, i) + u * at(j + 1, i + 1));
    });
    const longitude = (Math.atan2(mean[1], mean[0]) * 180) / Math.PI;
    return [(longitude + 360) % 360, (Math.atan2(mean[2], Math.hypot(mean[0], mean[1])) * 180) / Math.PI];
  };

  const STEPS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600,
    7200, 10800, 18000, 36000, 54000, 108000, 162000];
  // Units of a coordinate: seconds of time where it is a right ascension, of arc otherwise, and how it is written.
  const inHours = (index) => index === 0 && data.sky.hours;
  const perDegree = (index) => (inHours(index) ? 240 : 3600);
  const written = (seconds, index, step) => {
    const marks = inHours(index) ? ["h", "m", "s"] : ["°", "′", "″"];
    const digits = step < 1 ? Math.max(0, -Math.floor(Math.log10(step))) : 0;
    const full = inHours(index) ? 86400 : index === 0 ? 1296000 : Infinity;
    const sign = seconds < 0 ? "−" : index === 1 ? "+" : "";
    let rest = Number(Math.abs(seconds).toFixed(digits));
    if (rest >= full) rest -= full;
    const parts = [Math.floor(rest / 3600), Math.floor((rest % 3600) / 60), rest % 60];
    const two = (number) => String(number).padStart(2, "0");
    let text = sign + two(parts[0]) + marks[0];
    if (step < 3600) text += two(parts[1]) + marks[1];
    if (step < 60) text += parts[2].toFixed(digits).padStart(digits ? digits + 3 : 2, "0") + marks[2];
    return text;
  };

  // Where a coordinate has round values along an edge: [part of the edge, text].
  const ticks = (index, place, most) => {
    const n = 60, values = [];
    for (let k = 0; k <= n; k++) {
      let value = sky(...place(k / n))[index];
      if (index === 0 && k) value += 360 * Math.round((values[k - 1] / perDegree(0) - value) / 360);
      values.push(value * perDegree(index));
    }
    const span = Math.max(...values) - Math.min(...values);
    const step = STEPS.find((each) => span / each <= most) || STEPS[STEPS.length - 1];
    const found = [];
    for (let k = 0; k < n; k++) {
      const [one, other] = [values[k], values[k + 1]];
      const multiple = Math.ceil(Math.min(one, other) / step);
      const target = multiple * step;
      if (one !== other && target >= Math.min(one, other) && target < Math.max(one, other))
        found.push([(k + (target - one) / (other - one)) / n, written(((index === 0 ? target + 360 * perDegree(0) : target) %
          (360 * perDegree(index))), index, step)]);
    }
    return found;
  };

  const element = (name, attributes, text) => {
    const made = document.createElementNS(document.querySelector("svg.axes").namespaceURI, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };

  const panels = [...document.querySelectorAll("figure.sky")].map((figure) => {
    const given = data.panels[Number(figure.dataset.panel)];
    return {
      figure, given,
      box: figure.querySelector(".view"), image: figure.querySelector(".view img"), axes: figure.querySelector("svg.axes"),
      cross: figure.querySelector(".cross"), readout: figure.querySelector("output"),
      values: null, errors: null, isUnpacked: false,
    };
  });

  const drawPanel = (panel) => {
    const width = panel.box.clientWidth, height = panel.box.clientHeight;
    if (!width) return;
    const scale = nx / view.width;
    panel.image.style.width = `${100 * scale}%`;
    panel.image.style.height = `${100 * scale}%`;
    panel.image.style.left = `${(-100 * view.x) / view.width}%`;
    panel.image.style.top = `${(-100 * view.y) / ((view.width * ny) / nx)}%`;
    const left = panel.box.offsetLeft, top = panel.box.offsetTop;
    const tall = (view.width * height) / width;
    panel.axes.replaceChildren();
    const across = data.sky.horizontal;
    const below = ticks(across, (part) => [view.x + part * view.width, view.y + tall], Math.max(1, width / 95));
    for (const [part, text] of below) {
      const x = left + part * width;
      panel.axes.append(element("line", { x1: x, x2: x, y1: top + height, y2: top + height + 5 }));
      if (part > 0.06 && part < 0.94)
        panel.axes.append(element("text", { x, y: top + height + 18, "text-anchor": "middle" }, text));
    }
    const beside = ticks(1 - across, (part) => [view.x, view.y + part * tall], Math.max(1, height / 60));
    for (const [part, text] of beside) {
      const y = top + part * height;
      panel.axes.append(element("line", { x1: left - 5, x2: left, y1: y, y2: y }));
      panel.axes.append(element("text", { x: left - 8, y: y + 4, "text-anchor": "end" }, text));
    }
    panel.axes.append(
      element("text", { x: left + width / 2, y: top + height + 32, "text-anchor": "middle" }, data.sky.names[across]));
    if (beside.every(([, text]) => text.length < 8)) // longer ones leave no room
      panel.axes.append(element("text",
        { transform: `translate(${left - 60} ${top + height / 2}) rotate(-90)`, "text-anchor": "middle" }, data.sky.names[1 - across]));
  };
  const draw = () => panels.forEach(drawPanel);

  const zoom = (factor, x = view.x + view.width / 2, y = view.y + (view.width * ny) / nx / 2) => {
    const width = Math.min(nx, Math.max(Math.min(nx, 5), view.width / factor));
    view = { x: x - ((x - view.x) * width) / view.width, y: y - ((y - view.y) * width) / view.width, width };
    inside();
  };
  const inside = () => { // what is shown does not go beyond the image
    view.x = Math.min(Math.max(view.x, 0), nx - view.width);
    view.y = Math.min(Math.max(view.y, 0), ny - (view.width * ny) / nx);
    for (const panel of panels) panel.box.style.touchAction = view.width < nx ? "none" : "pan-y";
    draw();
  };

  const digits = (value) => Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-3) ? value.toExponential(3)
    : String(Number(value.toPrecision(4)));
  const say = (panel, x, y) => {
    const { given } = panel;
    if (!panel.isUnpacked) {
      panel.values = unpacked(given.values);
      panel.errors = unpacked(given.errors);
      panel.isUnpacked = true;
    }
    if (!panel.values) return ["", ""];
    const columns = Math.ceil(nx / data.block), rows = Math.ceil(ny / data.block);
    // The first row of values is the lowest of the image.
    const row = Math.min(rows - 1, Math.floor((ny - y) / data.block)), column = Math.min(columns - 1, Math.floor(x / data.block));
    const value = panel.values[row * columns + column];
    if (!Number.isFinite(value)) return ["no value", ""];
    const error = panel.errors ? ` ± ${digits(panel.errors[row * columns + column])}` : "";
    return [digits(value) + error, given.unit];
  };
  const point = (x, y) => {
    const outside = x < 0 || y < 0 || x >= nx || y >= ny;
    const [longitude, latitude] = sky(x, y);
    const fine = (data.sky.pixel * 3600) / (inHours(0) ? 15 : 1);
    const where = outside ? "" : `${written(longitude * perDegree(0), 0, fine < 1 ? 0.01 : 1)} ` +
      `${written(latitude * 3600, 1, data.sky.pixel * 3600 < 1 ? 0.1 : 1)}`;
    for (const panel of panels) {
      const shown = !outside && x >= view.x && x < view.x + view.width;
      panel.cross.style.display = shown ? "block" : "none";
      panel.cross.style.left = `${(100 * (x - view.x)) / view.width}%`;
      panel.cross.style.top = `${(100 * (y - view.y)) / ((view.width * ny) / nx)}%`;
      panel.readout.textContent = "";
      if (outside) continue;
      const [value, unit] = say(panel, x, y), strong = document.createElement("b");
      strong.textContent = value;
      panel.readout.append(strong, ` ${unit} at ${where}`);
    }
  };
  const place = (panel, event) => {
    const box = panel.box.getBoundingClientRect();
    return [view.x + ((event.clientX - box.left) / box.width) * view.width,
      view.y + ((event.clientY - box.top) / box.width) * view.width];
  };
  for (const panel of panels) {
    let held = null;
    panel.image.draggable = false;
    panel.box.addEventListener("pointerdown", (event) => {
      held = [event.clientX, event.clientY];
      if (view.width < nx) panel.box.setPointerCapture(event.pointerId);
    });
    panel.box.addEventListener("pointerup", () => { held = null; });
    panel.box.addEventListener("pointercancel", () => { held = null; });
    panel.box.addEventListener("pointermove", (event) => {
      if (held && view.width < nx) {
        const scale = view.width / panel.box.clientWidth;
        view.x -= (event.clientX - held[0]) * scale;
        view.y -= (event.clientY - held[1]) * scale;
        held = [event.clientX, event.clientY];
        inside();
      }
      point(...place(panel, event));
    });
    panel.box.addEventListener("pointerleave", () => point(-1, -1));
    panel.box.addEventListener("dblclick", (event) => zoom(event.shiftKey ? 0.5 : 2, ...place(panel, event)));
    panel.box.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return; // the page scrolls
      event.preventDefault();
      zoom(Math.exp(-event.deltaY / 300), ...place(panel, event));
    }, { passive: false });
  }
  const on = (name, what) => document.getElementById(name).addEventListener("click", what);
  on("zoom-in", () => zoom(2));
  on("zoom-out", () => zoom(0.5));
  on("zoom-reset", () => { view = { ...WHOLE }; inside(); });
  new ResizeObserver(draw).observe(document.querySelector("main"));
  inside();

  // Spectra under the cursor.
  const spectra = document.querySelector(".spectra");
  const plot = spectra.querySelector(".plot"), rule = spectra.querySelector(".rule"), readout = spectra.querySelector("output");
  plot.addEventListener("pointermove", (event) => {
    const { edges, rows, boxes } = data.spectra;
    const [left, right, top, bottom] = boxes[matchMedia(data.spectra.narrow).matches ? 1 : 0];
    const frame = plot.getBoundingClientRect();
    const part = ((event.clientX - frame.left) / frame.width - left) / (right - left);
    const energy = edges[0] + part * (edges[edges.length - 1] - edges[0]);
    const bin = edges.findIndex((edge) => edge > energy) - 1;
    const shown = part >= 0 && bin >= 0;
    rule.style.display = shown ? "block" : "none";
    readout.textContent = "";
    if (!shown) return;
    rule.style.left = `${100 * (left + part * (right - left))}%`;
    rule.style.top = `${100 * top}%`;
    rule.style.height = `${100 * (bottom - top)}%`;
    const said = rows.map(([name, counts, errors]) =>
      `${name} ${digits(counts[bin])}${errors ? ` ± ${digits(errors[bin])}` : ""}`);
    readout.textContent = `${edges[bin]} to ${edges[bin + 1]} keV (counts): ${said.join(", ")}`;
  });
  plot.addEventListener("pointerleave", () => { rule.style.display = "none"; readout.textContent = ""; });

  for (const button of document.querySelectorAll(".copy button"))
    button.addEventListener("click", () => {
      const range = document.createRange();
      range.selectNodeContents(button.parentElement.querySelector("pre"));
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      navigator.clipboard?.writeText(String(range)).catch(() => {}); // selected in any case
      button.textContent = "copied";
    });
})();
