// Lists and grids as large as they may get: they scroll as smoothly as short ones.
import { expect, type Page, test } from "@playwright/test";
import { frames, heap, smooth } from "./frames";
import { Workshop } from "./workshop";

let site: Workshop;
const tasks = 100_000;
const parts = 10_000;
const devices = 100_000;
const batch = 5000;
const scripted = 16; // ms of each frame that scripts may take
const step = 88; // pixels scrolled in each: 120 new rows of tasks a second

test.use({ trace: "off" }); // taking pictures is slower than what is measured
test.setTimeout(300_000); // reading 100,000 rows takes as long as the machine is busy

test.beforeAll(async () => {
  site = await Workshop.open();
});

test.afterAll(() => site?.close());

test.beforeEach(({ context }) => site.enter(context));

/** Runs what makes each of so many batches, two at a time. */
async function fill(batches: number, make: (first: number) => Promise<unknown>): Promise<void> {
  for (let i = 0; i < batches; i += 2)
    await Promise.all([i, i + 1].filter((n) => n < batches).map((n) => make(n * batch)));
}

const numbers = (first: number) => Array.from({ length: batch }, (_, i) => first + i);

/** The box in which a table scrolls. */
const box = (page: Page, table: string) => page.locator(`div:has(> table[aria-label="${table}"])`);

test("100,000 tasks: the whole list scrolls, is searched and filtered", async ({ page }) => {
  await fill(tasks / batch, (first) =>
    site.call("POST", `/groups/${site.group}/tasks:batch`, {
      tasks: numbers(first).map((n) => ({
        kind: n % 2 ? "nobodys" : "other",
        title: n === 12_345 ? "The needle" : `Straw ${n}`,
      })),
    }),
  );
  await page.goto(`${site.url}/groups/${site.group}/tasks`);
  await expect(page.getByRole("link", { name: /^Straw/ }).first()).toBeVisible();
  // Down, as fast as the pages come.
  const scroller = box(page, "Tasks");
  await scroller.evaluate((el) => {
    const rows = el.querySelector("tbody");
    if (rows) new ResizeObserver(() => el.scrollTo({ top: el.scrollHeight })).observe(rows);
  });
  await expect(page.getByText("100,000 tasks", { exact: true })).toBeVisible({ timeout: 120_000 });
  const rest = await frames(page, 1000);
  const whole = await frames(page, 3000, 'div:has(> table[aria-label="Tasks"])', -step);
  const used = await heap(page);
  console.log(`${tasks} tasks: ${whole}, ${used.toFixed(0)} MB`);
  expect(await scroller.locator("tbody tr").count()).toBeLessThan(100); // only those in sight exist
  expect(whole.gaps.at(0.5)).toBeLessThan(smooth(rest));
  expect(whole.scripts.at(0.5)).toBeLessThanOrEqual(scripted);
  expect(used).toBeLessThan(400);

  await page.getByLabel("Search").fill("needle");
  await expect(page.getByRole("link", { name: "The needle" })).toBeVisible();
  await expect(page.getByText("1 task", { exact: true })).toBeVisible();
  await page.getByLabel("Search").fill("");
  await page.getByLabel("Kind", { exact: true }).fill("other");
  await expect(page).toHaveURL(/kind=other/);
  await expect(page.getByText("so far; scroll for more")).toBeVisible();
  await expect(page.getByRole("link", { name: /^Straw \d*[13579]$/ })).toHaveCount(0);
  await expect(page.getByRole("link", { name: /^Straw \d*[02468]$/ }).first()).toBeVisible();
});

test("a task of 10,000 parts: the grid is drawn, walked through and live", async ({ page }) => {
  const id = await site.submit({
    kind: "nobodys",
    title: "All of it",
    allow_failures: parts,
    reduce: "none",
    inputs: Array.from({ length: parts }, (_, i) => i),
  });
  await page.goto(`${site.url}/tasks/${id}`);
  await expect(page.getByText("10,000 queued")).toBeVisible({ timeout: 30_000 });
  const grid = page.getByRole("slider");
  await grid.focus();
  await page.keyboard.press("End");
  await expect(grid).toHaveAttribute("aria-valuetext", /^Part 10,?000: queued/);
  const { items } = (await site.call("GET", `/tasks/${id}/children?limit=200`)) as {
    items: { id: string }[];
  };
  const rest = await frames(page, 1000);
  const cancels = (async () => {
    for (const t of items) await site.call("POST", `/tasks/${t.id}/cancel`, {});
  })();
  const live = await frames(page, 3000);
  await cancels;
  await expect(page.getByText("200 cancelled")).toBeVisible();
  const used = await heap(page);
  console.log(`${parts} parts: ${live}, ${used.toFixed(0)} MB`);
  expect(live.gaps.at(0.5)).toBeLessThan(smooth(rest));
  expect(live.scripts.at(0.5)).toBeLessThanOrEqual(scripted);
  expect(used).toBeLessThan(200);
});

test("100,000 devices: the fleet scrolls while it loads, and is searched", async ({ page }) => {
  const token = await site.call("POST", "/tokens", { name: "fleet", kind: "device", groups: [site.group] });
  const at = new Date(Date.now() - 60_000).toISOString();
  await fill(devices / batch, (first) =>
    site.call(
      "POST",
      "/sync-events",
      numbers(first).map((n) => ({
        device_id: `kiosk-${String(n).padStart(6, "0")}`,
        timestamp: at,
        total_files_synced: 3,
        total_errors: 0,
        internet_speed: 10,
      })),
      String(token.secret),
    ),
  );
  await page.goto(`${site.url}/groups/${site.group}/devices/fleet`);
  await expect(page.getByRole("link", { name: "kiosk-000000" })).toBeVisible();
  await expect(page.getByText("200 devices so far")).toBeVisible();
  const rest = await frames(page, 1000);
  const scrolled = await frames(page, 4000, 'div:has(> table[aria-label="Devices"])', step);
  console.log(`${devices} devices: ${scrolled}`);
  await expect(async () => {
    await box(page, "Devices").evaluate((el) => el.scrollTo({ top: el.scrollHeight }));
    await expect(page.getByText(/^\d+,\d00 devices so far$/)).toBeVisible({ timeout: 100 }); // 1,000 and more
  }).toPass({ timeout: 15_000 });
  expect(await box(page, "Devices").locator("tbody tr").count()).toBeLessThan(60);
  expect(scrolled.gaps.at(0.5)).toBeLessThan(smooth(rest));
  expect(scrolled.scripts.at(0.5)).toBeLessThanOrEqual(scripted);
  await page.getByLabel("Search").fill("K-099999"); // the last one: all are looked at
  await expect(page.getByRole("link", { name: "kiosk-099999" })).toBeVisible();
  await expect(page.getByText("1 device", { exact: true })).toBeVisible();
});
