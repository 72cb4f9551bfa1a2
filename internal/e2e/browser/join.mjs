// join.mjs URL OUT OTHER: an operator sets up a second site, whose appliance is at OTHER, by an
// invitation that the first one's page makes, until a host there has an address.
import { look, rest as rested } from "./look.mjs";
import { base, drive, expect, faults, out, outside, rest, setUp } from "./talk.mjs";

const [other] = rest;
let token;

async function invite(page) {
  await setUp(page, base, "d");
  await expect(page, "This appliance"); // the overview: there is a group already
  await page.goto(base + "/members");
  await page.getByRole("button", { name: "Make the invitation" }).click();
  token = (await page.locator("#command").textContent()).trim().split(" ").at(-1);
}

async function join(page) {
  await setUp(page, other, "a");
  await expect(page, "Join by an invitation");
  await page.getByLabel("Token").fill(token.slice(0, -9));
  await page.getByRole("button", { name: "Join" }).click();
  await page.locator("#wrong-token, .problem").first().waitFor();
  if ((await page.getByLabel("Token").inputValue()) !== token.slice(0, -9)) faults.push("the token that was typed is lost");
  await look(page, "join-wrong", out, faults);
  await page.getByLabel("Token").fill(token);
  await page.getByRole("button", { name: "Join" }).click();
  await expect(page, "This appliance is in its group now");
  await expect(page, "this host's default route leads to it"); // the wizard has listened on each port
  await page.getByRole("button", { name: "Who is there? on lan0" }).click();
  await page.getByRole("progressbar", { name: "Listening on lan0" }).waitFor();
  await page.getByRole("button", { name: "Cancel" }).filter({ visible: true }).click();
  await page.getByRole("progressbar", { name: "Listening on lan0" }).waitFor({ state: "hidden" });
  await look(page, "wizard-ports", out, faults);
}

async function serve(page) {
  await page.getByRole("radio", { name: "Router" }).check();
  await page.getByRole("combobox", { name: /^LAN port/ }).selectOption("lan0");
  await page.getByRole("button", { name: "Show what a switch does" }).click();
  await page.getByRole("button", { name: "Apply" }).click();
  await page.getByRole("button", { name: "Keep it" }).click();
  await expect(page, "Waiting for the first host");
  await outside("HOST");
  await expect(page, "One host has an address");
  await look(page, "join-first", out, faults);
  const recalled = page.waitForResponse((r) => r.url().endsWith("/api/v1/throughput"));
  await page.goto(other + "/");
  const { fiveMinutes } = await (await recalled).json();
  if (fiveMinutes.sent.length < 5) faults.push(`the appliance remembers ${fiveMinutes.sent.length} s of its throughput`);
  await page.getByRole("button", { name: "A day" }).click();
  await page.getByRole("img", { name: /over the last day/ }).waitFor();
  await page.getByRole("row", { name: /^d direct/ }).waitFor();
}

// updated waits until a part of the page has come by itself, n times.
async function updated(page, n) {
  for (; n > 0; n--) await page.waitForResponse((r) => r.request().headers()["x-background"] === "true" && new URL(r.url()).pathname === new URL(page.url()).pathname);
  await rested(page);
}

async function stays(page) {
  const member = page.locator("svg.for-wide a.node").first();
  await member.focus();
  await updated(page, 2);
  if (!(await member.evaluate((e) => e === document.activeElement))) faults.push("the focus on a member of the picture is lost as the page comes up to date");
  await page.goto(other + "/diagnostics");
  await page.locator("#doctor summary").first().click();
  const open = await page.locator("#doctor details").first().evaluate((d) => d.open);
  await page.evaluate(() => document.getElementById("doctor").dispatchEvent(new CustomEvent("live:health")));
  await updated(page, 1);
  if ((await page.locator("#doctor details").first().evaluate((d) => d.open)) !== open) faults.push("what was folded or unfolded isn't any more");
  await page.getByLabel("Who", { exact: true }).fill("d");
  await page.locator("#count").fill("20");
  await page.getByRole("button", { name: "Ping" }).click();
  await page.getByRole("progressbar", { name: "Waiting for answers" }).waitFor();
  await page.getByRole("button", { name: "Cancel" }).filter({ visible: true }).click();
  await page.getByRole("progressbar", { name: "Waiting for answers" }).waitFor({ state: "hidden" });
  if (await page.getByText("of 20 answered").count()) faults.push("a ping that was given up is shown");
}

await drive([invite, join, serve, stays]);
