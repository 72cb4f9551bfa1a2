// system.mjs URL OUT DIR: an operator and the page of the system: a session that outlives a kill, the
// password once more after its time, a backup made and restored, a certificate of one's own.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { look } from "./look.mjs";
import { base, download, drive, expect, faults, out, outside, password, rest, setUp } from "./talk.mjs";

let away = false; // the appliance starts anew
const copy = join(rest[0], "copy.db");

async function begin(page) {
  await setUp(page);
  await expect(page, "This appliance"); // the overview: there is a group already
}


async function backup(page) {
  await page.goto(base + "/system");
  await look(page, "system", out, faults);
  away = true;
  await outside("AGED"); // killed, and the password given eleven minutes ago
  await page.goto(base + "/system"); // and still logged in
  away = false;
  await page.getByRole("button", { name: "Download a backup" }).click();
  await expect(page, "For ten minutes you aren't asked again");
  await look(page, "again", out, faults);
  await page.getByLabel(/^Your password/).fill("not this one");
  await page.getByRole("button", { name: "Go on" }).click();
  await page.locator("#wrong-reauthPassword").waitFor();
  await page.getByLabel(/^Your password/).fill(password);
  writeFileSync(copy, await download(page, "Go on"));
}

async function users(page) {
  await page.goto(base + "/system");
  await page.locator("#user-name").fill("vera");
  await page.locator("#user-password").fill(password);
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await expect(page, "vera can log in now");
}

async function restore(page) {
  await page.goto(base + "/system/restore");
  await look(page, "restore", out, faults);
  await page.locator("#file").setInputFiles({ name: "none.db", mimeType: "application/octet-stream", buffer: Buffer.from("no copy") });
  await page.getByRole("button", { name: "Check it" }).click();
  await expect(page, "this is no whole copy of a landbridge state");
  await page.locator("#file").setInputFiles(copy);
  await page.getByRole("button", { name: "Check it" }).click();
  await expect(page, "Nothing is changed yet");
  await expect(page, "vera (viewer)");
  await look(page, "restore-checked", out, faults);
  away = true;
  await page.getByRole("button", { name: "Restore it, and restart" }).click();
  await page.waitForURL(/\/login/); // by itself, as soon as the appliance is back
  away = false;
  await page.getByLabel("Name").fill("admin");
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.waitForURL((url) => url.pathname !== "/login");
  await page.goto(base + "/system");
  await expect(page, "Users");
  if (await page.getByRole("row", { name: /^vera/ }).count()) faults.push("the user that was made after the backup is still there");
}

async function certificate(page) {
  await page.goto(base + "/system/certificate");
  await look(page, "certificate", out, faults);
  const [cert, key, wrong] = (await outside("CERTIFICATE")).split(" ");
  await page.locator("#certificateFile").setInputFiles(cert);
  await page.locator("#keyFile").setInputFiles(wrong);
  await page.getByRole("button", { name: "Use this certificate" }).click();
  await page.locator("#wrong-key").waitFor();
  await look(page, "certificate-wrong", out, faults);
  await page.locator("#keyFile").setInputFiles(key);
  await page.getByRole("button", { name: "Use this certificate" }).click();
  await expect(page, "New connections are shown your certificate");
  await look(page, "certificate-own", out, faults);
  await outside("SHOWN");
}

async function restart(page) {
  await page.goto(base + "/system/restart");
  await look(page, "restart", out, faults);
  away = true;
  await page.getByRole("button", { name: "Restart" }).click();
  await page.waitForURL((url) => url.pathname === "/system"); // by itself, and still logged in
  away = false;
  await expect(page, "This appliance");
}

await drive([begin, backup, users, restore, certificate, restart], { cutOff: () => away });
