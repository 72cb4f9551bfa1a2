// pages.mjs URL OUT PATH...: looks at pages that anybody may see, and fails if something is
// wrong with one. A PATH may be NAME=PATH, which names the screenshots.
import { launch, look, person, visit } from "./look.mjs";

const [base, out, ...paths] = process.argv.slice(2);
const faults = [];
const browser = await launch();
try {
  for (const entry of paths) {
    const [, name, path] = entry.match(/^(?:([\w-]+)=)?(.*)$/);
    const page = await person(browser, faults, { withoutEvents: true });
    const bytes = await visit(page, base + path, faults);
    await look(page, name ?? (path.slice(1) || "overview"), out, faults);
    console.log(`${path}: ${bytes} bytes`);
    await page.context().close();
  }
} finally {
  await browser.close();
}
for (const f of faults) console.error(f);
process.exit(faults.length ? 1 : 0);
