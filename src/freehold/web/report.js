"use strict";
// Draws the charts into their figures, in the colours the reader prefers, and draws them again when that changes.
(() => {
  const { specs, light, dark } = JSON.parse(document.getElementById("chart-data").textContent);
  const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
  const tip = document.getElementById("tip");
  let drawn = [];
  let last = Promise.resolve();

  // Text only: values are what users wrote.
  function showTip(handler, event, item, value) {
    tip.replaceChildren();
    tip.hidden = !value;
    if (!value) return;
    for (const [name, text] of Object.entries(value)) {
      const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
      dt.textContent = name;
      dd.textContent = text;
      dd.dir = "auto";
      tip.append(dt, dd);
    }
    const { width, height } = tip.getBoundingClientRect();
    const left = event.clientX + 14 + width > window.innerWidth ? event.clientX - width - 14 : event.clientX + 14;
    const top = event.clientY + 14 + height > window.innerHeight ? event.clientY - height - 14 : event.clientY + 14;
    tip.style.left = `${Math.max(4, left)}px`;
    tip.style.top = `${Math.max(4, top)}px`;
  }

  async function draw() {
    drawn.forEach((view) => view.finalize());
    drawn = [];
    const options = {
      mode: "vega-lite",
      config: prefersDark.matches ? dark : light,
      renderer: "svg",
      ast: true, // expressions are interpreted, so that the page needs no unsafe-eval
      actions: false,
      defaultStyle: false, // report.css has all styles, so that it needs no unsafe-inline
      tooltip: showTip,
    };
    for (const [name, spec] of Object.entries(specs)) {
      const box = document.getElementById(`chart-${name}`);
      const figure = box.closest("figure");
      try {
        drawn.push(await vegaEmbed(box, structuredClone(spec), options));
        figure.classList.add("is-live");
      } catch (error) {
        figure.classList.add("is-still");
        console.error(`chart ${name}: ${error}`);
      }
    }
    document.documentElement.dataset.charts = drawn.length;
  }

  const redraw = () => (last = last.then(draw));
  prefersDark.addEventListener("change", redraw);
  window.addEventListener("scroll", () => (tip.hidden = true), { passive: true });
  redraw();
})();
