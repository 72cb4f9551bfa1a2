// dns.mjs URL OUT: what an operator does with names: gives one, finds it, changes it and takes that
// back, has a zone forwarded, asks as a host does, and changes what hosts are told.
import { look, still } from "./look.mjs";
import { settings } from "./settings.mjs";
import { base, drive, expect, faults, out, outside, rest, setUp } from "./talk.mjs";

const [server] = rest; // of corp.example

async function names(page) {
  await setUp(page);
  await page.getByRole("link", { name: "DNS" }).click();
  await page.getByRole("heading", { name: "DNS", exact: true }).waitFor();
  await page.getByRole("link", { name: await outside("HOST") }).waitFor(); // the host's own name is there
  await still(page, "dns", faults);
  await look(page, "dns", out, faults);
}

async function alias(page) {
  const set = async (name, target) => {
    await page.getByLabel("Alias").fill(name);
    await page.getByLabel("Stands for").fill(target);
    await page.getByRole("button", { name: "Set the alias" }).click();
  };
  await set("h1", "h2"); // a host has that name
  await page.locator("#wrong-name").waitFor();
  if (!/h1 is the name of the host 10\./.test(await page.locator("#wrong-name").textContent())) faults.push("a taken name isn't explained");
  if ((await page.getByLabel("Stands for").inputValue()) !== "h2") faults.push("what was typed is lost");
  await look(page, "dns-refused", out, faults);
  await set("wiki", "h1");
  await expect(page, "wiki.e2e.internal stands for h1 now");
  await outside("ANSWERED", "wiki h1");
  await page.getByRole("link", { name: "Change wiki" }).click();
  await set("wiki", "192.0.2.7");
  await expect(page, "stands for 192.0.2.7 now");
  await outside("ANSWERED", "wiki 192.0.2.7");
  await page.getByRole("button", { name: "Undo" }).click();
  await expect(page, "wiki.e2e.internal stands for h1 now");
  await outside("ANSWERED", "wiki h1");
  await page.getByRole("searchbox").fill("wik");
  await expect(page, "1 name with “wik”");
}

async function forward(page) {
  await page.goto(base + "/dns");
  await page.getByLabel("Zone").fill("corp.example");
  await page.getByLabel("Servers").fill("ns.corp");
  await page.getByRole("button", { name: "Forward", exact: true }).click();
  await page.locator("#wrong-servers").waitFor();
  await page.getByLabel("Servers").fill(server);
  await page.getByRole("button", { name: "Forward", exact: true }).click();
  await expect(page, `Names of corp.example are asked of ${server} now`);
  await outside("ANSWERED", "intra.corp.example. 192.0.2.80");
  await page.locator("#forwarders").getByText("answers", { exact: true }).waitFor(); // by itself
  await page.locator("#dns-name").fill("intra.corp.example");
  await page.getByRole("button", { name: "Ask" }).click();
  await expect(page, `Names of corp.example are forwarded to ${server}`);
  await look(page, "dns-forward", out, faults);
  await page.getByRole("button", { name: "End forwarding corp.example" }).click();
  await expect(page, "Names of corp.example are forwarded no longer");
  await outside("REFUSED", "intra.corp.example.");
}

async function audit(page) {
  await page.goto(base + "/system/audit");
  for (const what of ["setAlias", "setForwarder", "removeForwarder", "setGroupSettings"]) {
    if (!(await page.getByText(what).count()) && !(await page.locator(`[title*="${what}"]`).count())) faults.push(`${what} isn't in the audit log`);
  }
}

await drive([names, alias, forward, settings, audit]);
