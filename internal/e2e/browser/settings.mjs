// settings.mjs: an operator changes what hosts of a group are told and given: what is wrong is said as
// it is typed and when it is sent, what would change is seen before it does.
import { look } from "./look.mjs";
import { base, expect, faults, out, outside } from "./talk.mjs";

export async function settings(page) {
  const host = await outside("HOST");
  await page.goto(base + "/groups");
  await page.getByRole("link", { name: "Settings of e2e" }).click();
  await expect(page, "Nothing was changed yet");
  const search = page.getByLabel("Search domains"), told = page.locator("#wrong-search");
  await page.getByLabel("Lease time", { exact: true }).fill("20");
  await search.fill("office.example\nunder_score.example");
  await told.waitFor(); // as it is typed
  if (!/under_score/.test(await told.textContent())) faults.push(`the search list is refused with ${await told.textContent()}`);
  const described = await search.getAttribute("aria-describedby");
  if (described !== "about-search now-search wrong-search") faults.push(`the search list is described by ${described}`);
  await page.getByRole("button", { name: "Show what this changes" }).click();
  await expect(page, "Mend what is wrong");
  await told.waitFor();
  if ((await page.getByLabel("Lease time", { exact: true }).inputValue()) !== "20") faults.push("what was typed is lost");
  await look(page, "settings-wrong", out, faults);
  await search.fill("office.example\nlab.example");
  await told.waitFor({ state: "detached" }); // as it is typed
  await page.getByLabel("Excluded addresses").fill(host);
  await page.getByRole("button", { name: "Show what this changes" }).click();
  await expect(page, "3 settings would change");
  await expect(page, "h1 " + host); // whom it touches
  await look(page, "settings-plan", out, faults);
  await page.getByRole("button", { name: "Apply them at all sites" }).click();
  await expect(page, "hosts hear of it at their next renewal");
  await expect(page, "All members have it");
  await outside("SETTINGS", host);
}
