"use strict";
(() => {
  const root = document.documentElement;
  window.addEventListener("error", (event) => { root.dataset.error = event.message; });

  // Where on an SVG a pointer is, in its own units.
  const place = (svg, event) => {
    const box = svg.getBoundingClientRect(), view = svg.viewBox.baseVal;
    const scale = Math.min(box.width / view.width, box.height / view.height);
    const left = box.left + (box.width - scale * view.width) / 2;
    const top = box.top + (box.height - scale * view.height) / 2;
    return {
      x: view.x + (event.clientX - left) / scale,
      y: view.y + (event.clientY - top) / scale,
      scale,
    };
  };

  for (const chart of document.querySelectorAll(".chart")) {
    const svg = chart.querySelector("svg"), value = chart.querySelector(".value");
    const cursor = svg.querySelector(".cursor"), rule = cursor.querySelector(".rule");
    const curves = [...svg.querySelectorAll(".curve")].map((curve) => ({
      name: curve.dataset.name,
      values: JSON.parse(curve.dataset.values),
      places: curve.getAttribute("points").trim().split(" ")
        .map((pair) => pair.split(",").map(Number)),
    }));
    const show = (event) => {
      const { x } = place(svg, event);
      let best = 0, said = [];
      for (const curve of curves) {
        let near = 0;
        curve.places.forEach((at, i) => {
          if (Math.abs(at[0] - x) < Math.abs(curve.places[near][0] - x)) near = i;
        });
        best = curve.places[near][0];
        const [step, number] = curve.values[near];
        const name = curves.length > 1 ? `${curve.name} ` : "";
        said.push(`${name}${number} at ${step}`);
      }
      value.textContent = said.join(" · ");
      cursor.removeAttribute("hidden");
      for (const [key, to] of [["x1", best], ["x2", best], ["y1", 8], ["y2", 176]]) {
        rule.setAttribute(key, to);
      }
    };
    svg.addEventListener("pointermove", show);
    svg.addEventListener("pointerdown", show);
    svg.addEventListener("pointerleave", () => cursor.setAttribute("hidden", ""));
  }

  // Maps of the same images show where the chosen one is in each.
  const linked = [];

  for (const map of document.querySelectorAll(".map")) {
    const plane = map.querySelector(".plane");
    if (!plane) continue;
    const svg = plane.querySelector("svg"), tip = plane.querySelector(".tip");
    const value = map.querySelector(".value"), chosen = svg.querySelector(".chosen");
    const titles = JSON.parse(plane.dataset.names);
    const columns = Number(plane.dataset.columns), rows = Number(plane.dataset.rows);
    const names = new Map();
    for (const button of map.querySelectorAll("button[data-group]")) {
      names.set(button.dataset.group, button.dataset.name);
    }
    const groups = [...svg.querySelectorAll("g[data-group]")];
    const dots = groups.flatMap((group) => [...group.children].map((dot) => ({
      group, i: Number(dot.dataset.i),
      x: Number(dot.getAttribute("cx")), y: Number(dot.getAttribute("cy")),
    }))).sort((a, b) => a.i - b.i);
    let current = -1;

    const circle = (dot) => {
      chosen.setAttribute("cx", dot ? dot.x : -99);
      chosen.setAttribute("cy", dot ? dot.y : -99);
    };
    const of = `${plane.dataset.sheet} ${plane.dataset.names}`;
    const others = () => linked.filter((one) => one.of === of && one.map !== map);
    linked.push({ of, map, circle: (i) => circle(dots.find((dot) => dot.i === i)) });
    const hide = () => {
      tip.hidden = true;
      current = -1;
      circle(null);
      others().forEach((one) => one.circle(-1));
    };
    const picture = (i) => {
      const tile = document.createElement("span");
      tile.className = `tile ${plane.dataset.sheet}`;
      const share = (at, count) => 100 * at / Math.max(1, count - 1);
      tile.style.backgroundPosition =
        `${share(i % columns, columns)}% ${share(Math.floor(i / columns), rows)}%`;
      return tile;
    };
    const show = (dot) => {
      current = dots.indexOf(dot);
      circle(dot);
      others().forEach((one) => one.circle(dot.i));
      const name = names.get(dot.group.dataset.group);
      const said = `${titles[dot.i]}${name ? `, ${name}` : ""}`;
      value.textContent = said;
      tip.replaceChildren();
      if (plane.dataset.sheet) tip.append(picture(dot.i));
      const line = document.createElement("div");
      line.textContent = said;
      tip.append(line);
      tip.hidden = false;
      const at = new DOMPoint(dot.x, dot.y).matrixTransform(svg.getScreenCTM());
      const box = plane.getBoundingClientRect();
      const x = at.x - box.left, y = at.y - box.top;
      const left = x + 14 + tip.offsetWidth > box.width ? x - 14 - tip.offsetWidth : x + 14;
      const top = Math.min(y - 20, box.height - tip.offsetHeight - 4);
      tip.style.left = `${Math.max(2, left)}px`;
      tip.style.top = `${Math.max(2, top)}px`;
    };
    const point = (event) => {
      const { x, y, scale } = place(svg, event);
      let best = null, least = (event.pointerType === "mouse" ? 14 : 26) / scale;
      for (const dot of dots) {
        if (dot.group.hasAttribute("hidden")) continue;
        const distance = Math.hypot(dot.x - x, dot.y - y);
        if (distance < least) [best, least] = [dot, distance];
      }
      if (best) show(best); else hide();
    };
    svg.addEventListener("pointermove", (event) => {
      if (event.pointerType === "mouse") point(event);
    });
    svg.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse") hide();
    });
    svg.addEventListener("click", point);
    svg.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") hide();
      if (!step) return;
      event.preventDefault();
      const shown = dots.filter((dot) => !dot.group.hasAttribute("hidden"));
      if (!shown.length) return;
      const at = current < 0 ? -1 : shown.indexOf(dots[current]);
      show(shown[(at + step + shown.length) % shown.length]);
    });
    svg.addEventListener("blur", hide);

    const buttons = [...map.querySelectorAll("button[data-group]")];
    const set = (button, on) => {
      button.setAttribute("aria-pressed", String(on));
      const group = groups.find((g) => g.dataset.group === button.dataset.group);
      if (on) group.removeAttribute("hidden"); else group.setAttribute("hidden", "");
    };
    for (const button of buttons) {
      button.addEventListener("click", () => {
        set(button, button.getAttribute("aria-pressed") === "false");
        hide();
      });
    }
    const all = map.querySelector("button.all");
    if (all) {
      all.addEventListener("click", () => {
        const on = buttons.some((b) => b.getAttribute("aria-pressed") === "false");
        buttons.forEach((button) => set(button, on));
        hide();
      });
    }
  }
  root.dataset.ready = "yes";
})();
