// look.mjs looks at pages as people do: in light and dark, on a phone and a wide screen. For
// each it has axe-core judge the page, notes what the browser's console complains of, how far
// things moved as the page came to rest, and what a first visit transferred; and keeps a
// screenshot.
import { chromium } from "playwright-core";
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const axeFile = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--disable-auto-reload", "--disable-dev-shm-usage", "--force-color-profile=srgb"];

export const patience = 30_000;
export const looks = ["light", "dark"];
export const widths = { 390: 844, 1440: 900 };

export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, args: flags });

// person opens a window, and collects what goes wrong in it; while it is cutOff, that nothing can be loaded isn't.
export async function person(browser, faults, { withoutEvents, cutOff = () => false, ...options } = {}) {
  const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1440, height: 900 }, bypassCSP: false, ...options });
  context.setDefaultTimeout(patience);
  await context.addInitScript(() => {
    window.shifts = [];
    new PerformanceObserver((list) => {
      for (const e of list.getEntries()) {
        if (!e.hadRecentInput) window.shifts.push({ value: e.value, of: e.sources.map((s) => s.node?.outerHTML?.slice(0, 120)) });
      }
    }).observe({ type: "layout-shift", buffered: true });
  });
  const page = await context.newPage();
  page.on("console", (m) => {
    const expected = /status of 422/.test(m.text()) || // what a script typed wrong on purpose
      /api\/v1\/(events|throughput)/.test(m.location().url) && withoutEvents ||
      /^htmx:(sendAbort|afterRequest)/.test(m.text()) || // a button said so
      /net::ERR_NETWORK_CHANGED/.test(m.text()) || // the host's own cable was plugged in a moment ago
      /net::ERR_|status of 401|^htmx:(timeout|sendError|afterRequest)/.test(m.text()) && cutOff();
    if (["error", "warning"].includes(m.type()) && !expected) faults.push(`${page.url()}: console: ${m.text()} (${m.location().url})`);
  });
  page.on("pageerror", (e) => faults.push(`${page.url()}: script: ${e.message}`));
  return page;
}

// rest waits until a page stands still: loaded, and two frames drawn.
export async function rest(page) {
  await page.waitForLoadState("load");
  await page.evaluate(async () => {
    await document.fonts.ready;
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  });
}

// look judges the page where it is, and keeps screenshots of it called name.
export async function look(page, name, out, faults) {
  mkdirSync(out, { recursive: true });
  for (const theme of looks) {
    for (const [width, height] of Object.entries(widths)) {
      await page.emulateMedia({ colorScheme: theme, reducedMotion: "reduce" });
      await page.setViewportSize({ width: Number(width), height });
      await rest(page);
      if (await page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth)) {
        faults.push(`${name}: wider than a window of ${width}`);
      }
      await page.screenshot({ path: join(out, `${name}-${width}-${theme}.png`), fullPage: true, animations: "disabled" });
    }
    await judge(page, `${name}, ${theme}`, faults);
  }
}

// judge has axe-core look for what keeps people out.
export async function judge(page, name, faults) {
  // The policy forbids scripts from elsewhere; a debugger's evaluation is none.
  if (!(await page.evaluate(() => "axe" in window))) {
    const { readFileSync } = await import("node:fs");
    await page.evaluate(readFileSync(axeFile, "utf8") + ";0");
  }
  const found = await page.evaluate(() => window.axe.run(document, {
    resultTypes: ["violations"],
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
  }));
  for (const v of found.violations) {
    const where = v.nodes.slice(0, 3).map((n) => `${n.target.join(" ")}: ${n.failureSummary?.replace(/\s+/g, " ")}`);
    faults.push(`${name}: axe: ${v.id}: ${v.help}\n    ${where.join("\n    ")}`);
  }
}

// visit opens a page as somebody who was never here, and returns what that transferred.
export async function visit(page, url, faults, most = 200 * 1024) {
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  await session.send("Network.setCacheDisabled", { cacheDisabled: true });
  const { origin } = new URL(url);
  const ours = new Set(); // the browser's own error page, which is loaded too, has 250 KB
  let bytes = 0;
  session.on("Network.responseReceived", (e) => { if (e.response.url.startsWith(origin)) ours.add(e.requestId); });
  session.on("Network.loadingFinished", (e) => { if (ours.has(e.requestId)) bytes += e.encodedDataLength; });
  for (let tries = 3; ; tries--) {
    const failed = await page.goto(url, { waitUntil: "load" }).then(() => null, (e) => e);
    if (!failed) break;
    // The host's own cable was plugged in a moment ago, or the page that says so is still on its way.
    if (!tries || !/ERR_NETWORK_CHANGED|chrome-error|interrupted by another navigation/.test(failed.message)) throw failed;
    bytes = 0;
  }
  await rest(page);
  if (bytes > most) faults.push(`${url}: a first visit transferred ${bytes} bytes, want at most ${most}`);
  await session.send("Network.setCacheDisabled", { cacheDisabled: false });
  await still(page, url, faults);
  return bytes;
}

// still checks that nothing has moved by itself since the page was opened.
export async function still(page, name, faults) {
  const shifts = await page.evaluate(() => window.shifts);
  const sum = shifts.reduce((s, e) => s + e.value, 0);
  if (sum > 0) faults.push(`${name}: layout shift of ${sum.toFixed(4)}: ${JSON.stringify(shifts).slice(0, 500)}`);
}
