// chart.js draws the overview's throughput by uPlot: what the appliance remembers, as soon as
// the page is open, and then the rates that come with each update of the page.
"use strict";
(() => {
  const place = document.getElementById("throughput");
  if (!place || !window.uPlot) return;
  let span = 300; // seconds
  let points = []; // time, sent, received
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
  // recall asks for what the appliance remembers.
  const recall = async () => {
    const answer = await fetch("/api/v1/throughput", { headers: { "X-Background": "true" } }).catch(() => null);
    if (!answer?.ok) return; // live.js says that the page is out of touch
    const { fiveMinutes, day } = await answer.json();
    const series = span > 300 ? day : fiveMinutes;
    const skew = (Date.now() - Date.parse(answer.headers.get("Date"))) / 1000; // of the two clocks
    const end = Date.parse(series.until) / 1000 + (Math.abs(skew) > 2 ? skew : 0), n = series.sent.length;
    points = series.sent.map((v, i) => [end - (n - 1 - i) * series.stepSeconds, v, series.received[i]]);
    plot?.setData(data());
  };
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
        { stroke: text, font, grid: { show: false }, ticks: { show: false }, space: 80, size: 30, incrs: [60, 120, 300, 3600, 7200, 14400, 21600], values: (u, v) => v.map(clock) },
        { stroke: text, font, grid, ticks: { show: false }, size: 84, values: (u, v) => v.map(rate) }],
    }, data(), place);
  };
  const note = () => {
    const now = document.getElementById("now"), at = Date.now() / 1000, last = points.at(-1)?.[0] ?? 0;
    if (at - last > 3 * (span > 300 ? 60 : 5)) recall(); // the page was hidden, or out of touch
    else if (span <= 300 && now?.dataset.measured === "true") points.push([at, Number(now.dataset.sent), Number(now.dataset.received)]);
    points = points.filter((p) => p[0] > at - span);
    plot?.setData(data());
  };
  // How far back: buttons with data-span, in seconds.
  document.addEventListener("click", (e) => {
    const button = e.target.closest("[data-span]");
    if (!button) return;
    span = Number(button.dataset.span);
    for (const b of document.querySelectorAll("[data-span]")) b.setAttribute("aria-pressed", String(b === button));
    place.setAttribute("aria-label", button.dataset.label);
    points = [];
    recall();
  });
  draw();
  recall();
  document.addEventListener("htmx:afterSettle", (e) => { if (e.target.id === "now") note(); });
  document.addEventListener("look", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  new ResizeObserver(() => { if (plot && plot.width !== place.clientWidth) plot.setSize({ width: place.clientWidth, height: 180 }); }).observe(place);
})();
