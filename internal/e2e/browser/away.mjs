// away.mjs URL OUT: what becomes of an operator's page when nobody confirms, when the way to
// the appliance is cut, and when the appliance isn't there; and a capture as a file.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { look } from "./look.mjs";
import { base, download, drive, expect, faults, out, outside, rest, setUp } from "./talk.mjs";

let away = false; // the appliance can't be reached

// apply switches to router mode until seconds are over.
async function apply(page, seconds) {
  await page.goto(base + "/network");
  await page.getByRole("radio", { name: "Router" }).check();
  await page.getByRole("combobox", { name: /^LAN port/ }).selectOption("lan0");
  await page.getByRole("button", { name: "Show what a switch does" }).click();
  await page.locator("#seconds option").first().evaluate((o, s) => { o.value = s; }, String(seconds));
  await page.getByLabel("Roll back by itself after").selectOption(String(seconds));
  await page.getByRole("button", { name: "Apply" }).click();
  await page.getByRole("button", { name: "Keep it" }).waitFor();
}

// lost and found wait for the bar that says whether the page is in touch.
const lost = (page) => expect(page, "Out of touch with the appliance");
const found = async (page) => {
  await expect(page, "In touch again");
  away = false;
};

async function unconfirmed(page) {
  await apply(page, 10); // in which a busy machine shows the page, too
  const left = () => page.getByRole("timer").textContent();
  const first = await left();
  if (!/^0:(0[1-9]|10)$|^([1-9]|10) s$/.test(first)) faults.push(`the countdown begins with ${first}`);
  await expect(page, "The last switch, to router mode on lan0, was rolled back");
  if (await page.getByRole("timer").count()) faults.push("a countdown is left");
  await expect(page, "now interface mode");
  await look(page, "rolled-back", out, faults);
  await outside("BACK");
}

async function cut(page) {
  await apply(page, 15);
  away = true;
  await outside("CUT");
  await lost(page);
  await look(page, "out-of-touch", out, faults);
  await outside("MEND"); // when the appliance has gone back
  await found(page);
  await expect(page, "The last switch, to router mode on lan0, was rolled back");
  await page.getByRole("button", { name: "Keep it" }).waitFor({ state: "detached" });
}

async function stopped(page) {
  await page.goto(base + "/");
  await expect(page, "interface mode");
  away = true;
  await outside("STOP");
  await lost(page);
  await outside("START"); // in router mode
  await found(page); // by itself: sessions outlive the appliance
  await expect(page, "router mode on lan0");
  if (new URL(page.url()).pathname !== "/") faults.push(`still logged in, and at ${page.url()}`);
}

async function capture(page) {
  await page.goto(base + "/diagnostics");
  await page.getByLabel("Where").selectOption("segment");
  await page.getByLabel("Seconds").fill("4");
  await outside("TRAFFIC");
  const file = join(rest[0], "console.pcapng");
  writeFileSync(file, await download(page, "Capture and download"));
  await outside("CAPTURED", file);
}

async function begin(page) {
  await setUp(page);
  await expect(page, "This appliance"); // the overview: there is a group already
}

await drive([begin, unconfirmed, cut, stopped, capture], { cutOff: () => away });
