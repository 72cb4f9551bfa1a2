// chart.js draws the overview's throughput by uPlot, out of the rates that come with each
// update of the page. They are kept for this tab, so that the picture outlives a look at
// another page.
"use strict";
(() => {
  const place = document.getElementById("throughput");
  if (!place || !window.uPlot) return;
  const span = 600; // seconds
  const load = () => { try { return JSON.parse(sessionStorage.getItem("throughput")) ?? []; } catch { return []; } };
  let points = load().filter((p) => p[0] > Date.now() / 1000 - span);
  const rate = (v) => {
    const units = ["", "k", "M", "G"];
    let i = 0;
    while (v >= 1000 && i < 3) { v /= 1000; i++; }
    return (v >= 100 || i === 0 ? v.toFixed(0) : v.toFixed(1)) + " " + units[i] + "bit/s";
  };
  const clock = (t) => new Date(t * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const colour = (name) => {
    const probe = document.createElement("span");
    probe.className = name;
    place.append(probe);
    const c = getComputedStyle(probe).color;
    probe.remove();
    return c;
  };
  let plot;
  const data = () => {
    const all = points.length ? points : [[Date.now() / 1000, null, null]];
    return [0, 1, 2].map((i) => all.map((p) => p[i]));
  };
  const draw = () => {
    plot?.destroy();
    const grid = { stroke: colour("chart-grid"), width: 1 }, text = colour("muted"), font = "12px system-ui, sans-serif";
    plot = new uPlot({
      width: place.clientWidth, height: 180, legend: { show: false }, cursor: { y: false },
      scales: { x: { range: () => [Date.now() / 1000 - span, Date.now() / 1000] }, y: { range: (u, lo, hi) => [0, Math.max((hi ?? 0) * 1.15, 10000)] } },
      series: [{},
        { stroke: colour("key sent"), width: 1.5, spanGaps: false, points: { show: false } },
        { stroke: colour("key received"), width: 1.5, dash: [5, 3], points: { show: false } }],
      axes: [
        { stroke: text, font, grid: { show: false }, ticks: { show: false }, space: 80, size: 30, values: (u, v) => v.map(clock) },
        { stroke: text, font, grid, ticks: { show: false }, size: 84, values: (u, v) => v.map(rate) }],
    }, data(), place);
  };
  const note = () => {
    const now = document.getElementById("now");
    if (now?.dataset.measured !== "true") return;
    points.push([Date.now() / 1000, Number(now.dataset.sent), Number(now.dataset.received)]);
    points = points.filter((p) => p[0] > Date.now() / 1000 - span);
    try { sessionStorage.setItem("throughput", JSON.stringify(points)); } catch { /* no room: none is kept */ }
    plot?.setData(data());
  };
  draw();
  note();
  document.addEventListener("htmx:afterSettle", (e) => { if (e.target.id === "now") note(); });
  document.addEventListener("look", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  new ResizeObserver(() => { if (plot && plot.width !== place.clientWidth) plot.setSize({ width: place.clientWidth, height: 180 }); }).observe(place);
})();
