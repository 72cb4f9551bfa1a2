// console.mjs URL OUT: an operator's first hour with an appliance, in a browser: set-up, a
// group, an invitation, the mode, the first hosts, a member removed. Where something must
// happen outside of the browser it prints a line (KEY VALUE) and waits for one. It fails if
// a page has a fault; see look.mjs.
import { look, patience, still, visit } from "./look.mjs";
import { base, download, drive, expect, faults, fillSetup, out, outside, password } from "./talk.mjs";

async function firstRun(page) {
  const setupCode = await outside("CODE");
  const bytes = await visit(page, base + "/", faults);
  console.log(`NOTE a first visit: ${bytes} bytes`);
  await expect(page, "Make this appliance yours");
  await look(page, "setup", out, faults);
  await fillSetup(page, "WRONG-CODE");
  await page.locator("[aria-invalid=true], .problem").first().waitFor();
  await fillSetup(page, setupCode);
  await expect(page, "Create a group");
  await look(page, "start", out, faults);
  await page.getByLabel("Name", { exact: true }).fill("e2e");
  await page.getByLabel("Prefix").fill("10.77.0.0/16");
  await page.getByRole("button", { name: "Create the group" }).click();
  await expect(page, "This appliance is in its group now");
}

async function mode(page) {
  await page.getByRole("radio", { name: "Router" }).check();
  await page.getByRole("combobox", { name: /^LAN port/ }).selectOption("lan0");
  await page.getByRole("button", { name: "Show what a switch does" }).click();
  await expect(page, "What hosts notice");
  await look(page, "plan", out, faults);
  await page.getByRole("button", { name: "Apply" }).click();
  await page.getByRole("button", { name: "Keep it" }).waitFor();
  await look(page, "pending", out, faults);
  await page.getByRole("button", { name: "Keep it" }).click();
  await expect(page, "Kept: this appliance is in router mode");
}

async function hosts(page) {
  await expect(page, "Waiting for the first host");
  await look(page, "first-waiting", out, faults);
  await outside("HOSTS");
  await expect(page, "3 hosts have addresses"); // by itself: the page is live
  await look(page, "first", out, faults);
  await page.goto(base + "/leases");
  await page.getByRole("searchbox").fill("h2");
  await expect(page, "1 lease with “h2”");
  await look(page, "leases", out, faults);
  await page.locator("tbody").getByRole("link").first().click();
  await page.waitForURL(/\/leases\/10\./);
  await page.getByLabel("Name").fill("printer");
  await page.getByRole("button", { name: "Rename" }).click();
  await expect(page, "The host is called printer now");
  await page.getByRole("button", { name: "Reserve it for this host" }).click();
  await expect(page, "no site gives this address to another host");
  await look(page, "lease", out, faults);

  await page.goto(base + "/network");
  await page.getByLabel("Hardware address").fill("52:54:00:zz");
  await page.getByRole("button", { name: "Register", exact: true }).click();
  await page.locator("#wrong-mac").waitFor();
  await page.getByLabel("Hardware address").fill("52:54:00:12:34:56");
  await page.getByRole("button", { name: "Register", exact: true }).click();
  await expect(page, "The host is registered");
  await look(page, "network", out, faults);
}

async function members(page) {
  await page.goto(base + "/members");
  await page.getByLabel("Note").fill("site a");
  await page.getByLabel("waits until somebody here approves").check();
  await page.getByRole("button", { name: "Make the invitation" }).click();
  await page.getByRole("img", { name: "The token as a QR code" }).waitFor();
  await look(page, "invitation", out, faults);
  const command = await page.locator("#command").textContent();
  await page.goto(base + "/members");
  const fingerprint = await outside("JOIN", command.trim().split(" ").at(-1));
  await expect(page, "An appliance waits to be let into e2e"); // by itself: the page is live
  await expect(page, fingerprint);
  await look(page, "request", out, faults);
  await page.getByRole("button", { name: "Approve a" }).click();
  await expect(page, "a is a member now");
  await outside("JOINED");
  await page.goto(base + "/");
  await page.getByRole("row", { name: /^a direct/ }).waitFor();
  await still(page, "overview", faults);
  await look(page, "overview", out, faults);
  await page.goto(base + "/members");
  await look(page, "members", out, faults);
  await diagnostics(page);
  await page.goto(base + "/members");
  await page.getByRole("link", { name: "Remove a" }).click();
  await expect(page, "Its hosts lose the network");
  await look(page, "remove", out, faults);
  await page.getByLabel("Reason").fill("its site has closed");
  await page.getByRole("button", { name: "Remove a" }).click();
  await expect(page, "a is removed");
  await expect(page, "its site has closed");
  await outside("REMOVED");
  await page.goto(base + "/groups");
  await expect(page, "in its blocks");
  await look(page, "groups", out, faults);
  await page.getByRole("link", { name: "Leave e2e" }).click();
  await expect(page, "it is destroyed");
}

// begins checks that a file is of a kind.
function begins(name, file, bytes) {
  if (!file.subarray(0, bytes.length).equals(Buffer.from(bytes))) faults.push(`${name} begins with ${file.subarray(0, 8).toString("hex")}, and has ${file.length} bytes`);
}

async function diagnostics(page) {
  await page.goto(base + "/diagnostics");
  await still(page, "diagnostics", faults);
  await look(page, "diagnostics", out, faults);
  await page.getByLabel("Who", { exact: true }).fill("a");
  await page.getByRole("button", { name: "Ping" }).click();
  await expect(page, "of 5 answered");
  await page.getByLabel("Name", { exact: true }).fill("printer"); // as h2 was called before it was reserved
  const until = Date.now() + patience; // a name's keeper may have changed as a joined
  do {
    const answered = page.waitForResponse((r) => r.url().endsWith("/diagnostics/dns"));
    await page.getByRole("button", { name: "Ask" }).click();
    await answered;
    await page.locator("#dns .result").waitFor();
  } while (!(await page.getByText("NOERROR").count()) && Date.now() < until);
  await expect(page, "NOERROR");
  await look(page, "ping", out, faults);
  await page.getByRole("button", { name: "Explain the path" }).click();
  await page.locator(".hops").waitFor();
  await look(page, "path", out, faults);
  await page.getByLabel("Seconds").fill("90");
  await page.getByRole("button", { name: "Capture and download" }).click();
  await page.locator("#wrong-seconds").waitFor();
  await page.getByLabel("Seconds").fill("1");
  begins("the capture", await download(page, "Capture and download"), [0x0a, 0x0d, 0x0d, 0x0a]);
  begins("the support bundle", await download(page, "Download the bundle"), [0x1f, 0x8b]);
  await page.getByRole("searchbox").fill("no line is like this");
  await expect(page, "No line of the log is like that");
}

async function system(page) {
  await page.goto(base + "/system");
  await still(page, "system", faults);
  await page.getByLabel("First password").fill("short");
  await page.locator("#user-name").fill("vera");
  await page.locator("#user-password").evaluate((e) => e.removeAttribute("minlength"));
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await page.locator("#wrong-password").waitFor();
  await page.getByLabel("First password").fill(password);
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await expect(page, "vera can log in now");
  await look(page, "system", out, faults);
  await page.getByLabel("What for").fill("prometheus");
  await page.getByRole("button", { name: "Make it" }).click();
  await page.getByLabel("Token", { exact: true }).waitFor();
  await look(page, "token", out, faults);
  await page.getByRole("link", { name: "Revoke prometheus" }).click();
  await look(page, "revoke", out, faults);
  await page.getByRole("button", { name: "Revoke prometheus" }).click();
  await expect(page, "is worthless now");
  await page.getByRole("button", { name: "Use an authenticator app" }).click();
  await page.getByLabel("Code of the app").fill("000000");
  await page.getByRole("button", { name: "Take it into use" }).click();
  await page.locator("#wrong-code").waitFor();
  await look(page, "totp", out, faults);
  await page.goto(base + "/system/users/vera");
  await look(page, "user", out, faults);
  await page.getByRole("button", { name: "Remove vera" }).click();
  await expect(page, "vera is removed");
  await page.goto(base + "/system/audit");
  await expect(page, "remove the user vera");
  await look(page, "audit", out, faults);
}

async function again(page) {
  await page.goto(base + "/api");
  await look(page, "api", out, faults);
  await page.getByRole("button", { name: "Log out" }).click();
  await expect(page, "Log in to d");
  await look(page, "login", out, faults);
  await page.goto(base + "/leases"); // is asked to log in, and comes back to it
  await page.getByLabel("Name").fill("admin");
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByRole("heading", { name: "Leases" }).waitFor();
  if (new URL(page.url()).pathname !== "/leases") faults.push(`logged in, and at ${page.url()}`);
}

await drive([firstRun, mode, hosts, members, system, again]);
