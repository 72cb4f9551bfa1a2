// leases.mjs URL OUT: what an operator does with leases all day: finds them, reserves, releases
// and evicts while real clients have them, acts on several at once and takes that back, imports,
// exports, and looks at what became of each.
import { readFileSync } from "node:fs";
import { look, still } from "./look.mjs";
import { base, drive, expect, faults, out, outside, setUp } from "./talk.mjs";

const row = (page, address) => page.locator(`[data-row="${address}"]`);
let wanted, other; // the address that is reserved for h1, and that h2 has

async function live(page) {
  await setUp(page);
  await page.getByRole("heading", { name: "How hosts are attached" }).or(page.getByRole("link", { name: "Leases" })).first().waitFor();
  const streams = page.waitForResponse((r) => r.url().includes("/api/v1/events"));
  await page.goto(base + "/leases");
  await streams;
  [wanted, other] = (await outside("ADDRESSES")).split(" ");
  await still(page, "leases", faults);
  await outside("RENAME", other);
  await row(page, other).getByText("changed").waitFor(); // by itself, and marked
  await expect(page, "till");
  await row(page, other).getByText("changed").waitFor({ state: "hidden" });
}

async function reserve(page) {
  const mac = await outside("MAC");
  await page.getByText("Reserve an address").click();
  await page.getByLabel("Address", { exact: true }).fill(wanted);
  const field = page.getByLabel("For the host with the MAC"), wrong = page.locator("#reserve .wrong");
  await field.fill("52:54:00:zz"); // is told as it is typed, by the server
  await wrong.getByText("52:54:00:zz").waitFor();
  await look(page, "leases-typed", out, faults);
  await field.fill("52:54:00:12:34:56");
  await wrong.waitFor({ state: "detached" });
  await field.fill("52:54:00:zz");
  await page.getByRole("button", { name: "Reserve", exact: true }).click();
  await page.locator("#wrong-mac").waitFor();
  await field.fill(mac);
  await page.getByRole("button", { name: "Reserve", exact: true }).click();
  await expect(page, "no site gives this address to another host");
  await outside("HAS", wanted);
}

async function release(page) {
  await page.goto(`${base}/leases/${wanted}`);
  await page.getByText("Release…").click();
  await expect(page, "A host that is still there notices nothing");
  await outside("RELEASING");
  await page.getByRole("button", { name: `Release ${wanted}` }).click();
  await expect(page, "Released. A host that is still there");
  await outside("RENEWED", wanted);
}

async function evict(page) {
  await page.goto(base + "/leases");
  await page.locator(`[id="pick-${wanted}"]`).focus();
  await page.keyboard.press("Space");
  await page.getByRole("searchbox").fill("till"); // what is chosen stays so while one searches on
  await expect(page, "1 lease with “till”");
  await page.locator(`[id="pick-${other}"]`).focus();
  await page.keyboard.press("Space");
  await expect(page, "2 chosen");
  await look(page, "leases-chosen", out, faults);
  await page.locator(`[id="pick-${other}"]`).focus();
  await page.keyboard.press("Enter"); // goes to what can be done
  for (let i = 0; i < 4; i++) await page.keyboard.press("Tab");
  await outside("EVICTING");
  await page.keyboard.press("Enter");
  await expect(page, "Evict 2 leases?");
  await expect(page, "is refused its address when it renews");
  await look(page, "leases-evict", out, faults);
  await page.getByRole("button", { name: "Evict 2 leases" }).click();
  await expect(page, "2 hosts are evicted");
  await outside("REFUSED", wanted);
}

async function undo(page) {
  await page.goto(base + "/leases");
  await row(page, other).waitFor(); // it has asked anew
  await page.getByRole("checkbox", { name: "Choose all on this page" }).check();
  await page.getByRole("button", { name: "Note…" }).click();
  await page.getByLabel("Note", { exact: true }).fill("to be replaced");
  await page.getByRole("button", { name: /^Note it/ }).click();
  await expect(page, "Noted of");
  await row(page, wanted).getByText("to be replaced").waitFor();
  await look(page, "leases-noted", out, faults);
  await page.getByRole("button", { name: "Undo" }).click();
  await expect(page, "leases are as they were before");
  if (await page.getByText("to be replaced").count()) faults.push("a note was not undone");
}

async function transfer(page) {
  await page.goto(base + "/leases/import");
  await look(page, "import", out, faults);
  const send = async (text) => {
    await page.locator("#file").setInputFiles({ name: "hosts.csv", mimeType: "text/csv", buffer: Buffer.from(text) });
    await page.getByRole("button", { name: "Check it" }).click();
  };
  const good = "address,mac,name,note\n10.77.0.200,02:00:00:00:00:c8,spare-1,=1+1\n10.77.0.201,02:00:00:00:00:c9,spare-2,\n";
  await send(good + "10.77.0.202,nonsense,spare-3,\n10.99.0.1,02:00:00:00:00:01,,\n10.77.0.203\n");
  await expect(page, "3 lines are wrong, so nothing is changed");
  await look(page, "import-wrong", out, faults);
  await send(good);
  await page.getByRole("button", { name: "Apply 2 changes" }).waitFor();
  await look(page, "import-plan", out, faults);
  await page.getByRole("button", { name: "Apply 2 changes" }).click();
  await expect(page, "2 reservations are imported");
  await page.goto(base + "/leases?search=spare-");
  await expect(page, "2 leases with");
  const coming = page.waitForEvent("download");
  await page.getByRole("link", { name: "CSV" }).click();
  const file = readFileSync(await (await coming).path(), "utf8");
  if (!/^10\.77\.0\.200,02:00:00:00:00:c8,,spare-1,'=1\+1,reserved,true,/m.test(file)) faults.push(`the file is ${file}`);
  await page.goBack().catch(() => {});
  await page.goto(base + "/leases?search=spare-");
  await page.getByRole("checkbox", { name: "Choose all on this page" }).check();
  await page.getByRole("button", { name: "End reservation" }).click();
  await expect(page, "2 addresses are not reserved any more");
}

// A list is on its way, since something has happened, when somebody searches it.
async function searchBesideAnEvent(page, list, text) {
  const path = new URL(page.url()).pathname, before = faults.length;
  const all = (r) => new URL(r.url()).pathname === path && !new URL(r.url()).searchParams.get("search");
  const ended = Promise.race(["requestfinished", "requestfailed"].map((e) => page.waitForEvent(e, all)));
  const begun = page.waitForRequest(all);
  let searched;
  const typed = new Promise((done) => { searched = done; });
  await page.route((url) => url.pathname === path, async (route) => {
    if (all(route.request())) await typed;
    else {
      searched();
      await ended;
    }
    await route.continue().catch(() => {}); // given up by the page
  });
  await page.locator(list).dispatchEvent("live:late");
  await begun;
  await page.getByRole("searchbox").fill(text);
  await expect(page, `with “${text}”`);
  await page.unrouteAll({ behavior: "ignoreErrors" });
  const late = faults.findIndex((f, i) => i >= before && f.includes("htmx:timeout")); // of the list that is held here: on a slow machine the list is given up before the search begins
  if (late >= 0) faults.splice(late, 1);
}

async function history(page) {
  await page.goto(base + "/leases");
  await page.getByRole("link", { name: "History" }).click();
  await searchBesideAnEvent(page, "#entries", "admin");
  await expect(page, "evicted");
  await look(page, "history", out, faults);
  await page.getByRole("link", { name: wanted, exact: true }).first().click();
  await expect(page, "All of it");
  await page.goto(base + "/leases/10.77.0.200"); // nobody has it any more
  await expect(page, "Nobody has it");
  await look(page, "lease-gone", out, faults);
}

await drive([live, reserve, release, evict, undo, transfer, history]);
