// talk.mjs is what scripts have in common that drive a console while a test does what must
// happen outside of the browser: a line KEY VALUE asks for it, and the answer is a line, too.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { launch, person, visit } from "./look.mjs";

export const [base, out, ...rest] = process.argv.slice(2);
export const password = "correct horse battery";
export const faults = [];
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

// outside has the test do something, and returns what it answers.
export async function outside(key, value = "") {
  console.log(`${key} ${value}`.trim());
  const { value: line, done } = await lines.next();
  if (done) throw new Error(`the test has gone while ${key} was to be done`);
  return line;
}

// expect waits until a text is to be seen. The browser is on the appliance's host: when a device
// comes or an address is ready there, it gives up what it was about to load, a form that was sent as
// well, and a person would go to the console again.
export async function expect(page, text) {
  const seen = page.getByText(text).filter({ visible: true }).first().waitFor();
  seen.catch(() => {}); // it is waited for below
  for (let waiting = true; waiting;) {
    waiting = await Promise.race([seen.then(() => false, () => false), new Promise((done) => setTimeout(done, 500, true))]);
    if (waiting && page.url().startsWith("chrome-error:") && home.has(page)) await page.goto(home.get(page)).catch(() => {});
  }
  return seen;
}

// home has the console that a page has shown last.
const home = new WeakMap();

function noteHome(page) {
  page.on("framenavigated", (frame) => {
    if (frame === page.mainFrame() && frame.url().startsWith("https:")) home.set(page, new URL(frame.url()).origin + "/");
  });
}

// fillSetup fills in and sends the first page of an appliance that nobody has set up.
export async function fillSetup(page, code) {
  await page.getByLabel("Setup code").fill(code);
  await page.getByLabel("Password", { exact: true }).fill(password);
  await page.getByLabel("Password again").fill(password);
  await page.getByRole("button", { name: "Set up" }).click();
}

// setUp makes the appliance at url the person's own; which tells the test whose code is wanted.
export async function setUp(page, url = base, which = "") {
  const code = await outside("CODE", which);
  await visit(page, url + "/", faults);
  await fillSetup(page, code);
}

// download clicks, and returns what comes of it as a file.
export async function download(page, button) {
  const coming = page.waitForEvent("download");
  await page.getByRole("button", { name: button }).click();
  return readFileSync(await (await coming).path());
}

// drive goes through the steps in a window, one by one, and ends the program with what was wrong.
export async function drive(steps, options) {
  const browser = await launch();
  let page;
  try {
    page = await person(browser, faults, options);
    noteHome(page);
    for (const step of steps) {
      const began = Date.now();
      await step(page);
      console.log(`NOTE ${step.name}: ${Date.now() - began} ms`);
    }
  } catch (e) {
    faults.push(`${page?.url()}: ${e.message}`);
    await page?.screenshot({ path: `${out}/fault.png`, fullPage: true }).catch(() => {});
  } finally {
    await browser.close();
  }
  for (const f of faults) console.log("FAULT " + f.replaceAll("\n", " "));
  process.exit(faults.length ? 1 : 0);
}
