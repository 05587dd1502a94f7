import { readFileSync } from "node:fs";
import { expect, type Page, test } from "@playwright/test";
import { look } from "./look";
import { noPicker, strict } from "./site";
import { Workshop } from "./workshop";

let site: Workshop;

test.beforeAll(async () => {
  site = await Workshop.open(true, "--worker-grace", "60s"); // to look at a worker that is lost
});

test.afterAll(() => site?.close());

test.beforeEach(({ context }) => site.enter(context));

const row = (page: Page, table: string, text: string) =>
  page.getByRole("table", { name: table }).getByRole("row").filter({ hasText: text });

test("the overview, workers and queues are live; a paused queue waits", async ({ page }) => {
  const bad = strict(page);
  await page.goto(site.url);
  await page.getByRole("link", { name: "Administration" }).click();
  const tile = (name: string) => page.getByRole("region", { name, exact: true });
  await expect(tile("Users")).toContainText("1");
  await expect(tile("Workers")).toContainText("0");
  await site.worker("lab-1");
  await expect(tile("Workers")).toContainText("1");
  await expect(tile("Slots in use")).toContainText("of 4");
  await site.submit({ kind: "nobodys" });
  await expect(row(page, "Longest queues", "nobodys")).toContainText("Open");

  await expect(tile("Throughput")).toContainText("0 tasks ended");
  const done = await site.submit({ kind: "sleep", input: { ms: 1 } });
  await expect(tile("Throughput")).toContainText("1 task ended"); // live
  await expect.poll(async () => (await site.call("GET", `/tasks/${done}`)).status).toBe("succeeded");

  await page.getByRole("tab", { name: "Queues" }).click();
  await page.getByRole("button", { name: "Pause nobodys of Workshop" }).click();
  await expect(row(page, "Queues", "nobodys")).toContainText("Paused");
  const queue = { group: site.group, kind: "sleep" };
  await site.call("POST", "/admin/queues:pause", queue);
  const id = await site.submit({ kind: "sleep", input: { ms: 1 } });
  await site.submit({ kind: "nobodys", run_at: new Date(Date.now() + 3_600_000).toISOString() });
  const waiting = row(page, "Queues", "sleep");
  await expect(waiting).toContainText("Paused");
  await expect(waiting.getByRole("cell").nth(3)).toHaveText("1");
  await look(page, "admin-queues");
  await page.getByRole("button", { name: "Resume sleep of Workshop" }).click();
  await expect.poll(async () => (await site.call("GET", `/tasks/${id}`)).status).toBe("succeeded");
  await expect(waiting).toHaveCount(0); // it holds nothing any more
  await row(page, "Queues", "nobodys").getByRole("button", { name: "Empty…" }).click();
  await expect(page.getByText("This cancels 2 tasks")).toBeVisible();
  await page.getByRole("button", { name: "Cancel them" }).click();
  await expect(row(page, "Queues", "nobodys").getByRole("cell").nth(3)).toHaveText("0");
  await page.getByRole("button", { name: "Resume nobodys of Workshop" }).click();
  await expect(page.getByText("Nothing waits")).toBeVisible();
  await page.getByRole("button", { name: "Pause another queue…" }).click();
  await page.getByRole("combobox", { name: "Group" }).fill("work");
  await page.getByRole("option", { name: "Workshop" }).click();
  await page.getByRole("combobox", { name: "Kind" }).fill("Not yet");
  await page.getByRole("button", { name: "Pause it" }).click();
  await expect(page.getByText("Small letters, digits")).toBeVisible();
  await look(page, "admin-pause-queue");
  await page.getByRole("combobox", { name: "Kind" }).fill("not-yet");
  await page.getByRole("button", { name: "Pause it" }).click();
  await expect(row(page, "Queues", "not-yet")).toContainText("Paused");
  await page.getByRole("button", { name: "Resume not-yet of Workshop" }).click();
  await expect(page.getByText("Nothing waits")).toBeVisible();

  await page.getByRole("tab", { name: "Workers" }).click();
  await expect(row(page, "Workers", "lab-1")).toContainText("Connected");
  await look(page, "admin-workers");
  await site.kill("lab-1");
  await expect(row(page, "Workers", "lab-1")).toContainText("Lost");
  await row(page, "Workers", "lab-1").getByRole("button", { name: "Disconnect…" }).click();
  await page.getByRole("button", { name: "Disconnect", exact: true }).click();
  await expect(page.getByText("No worker is connected")).toBeVisible();
  expect(bad).toEqual([]);
});

test("a user is found, disabled and enabled; others see no administration", async ({ page, browser }) => {
  await page.goto(`${site.url}/admin/users`);
  await expect(row(page, "Users", "ada")).toBeVisible();
  await site.register("bob");
  await expect(row(page, "Users", "bob")).toContainText("May log in"); // live
  const context = await browser.newContext();
  await site.enter(context, "bob");
  const bob = await context.newPage();
  await bob.goto(`${site.url}/admin/users`);
  await expect(bob.getByText("There is nothing here")).toBeVisible();
  await expect(bob.getByRole("link", { name: "Administration" })).toHaveCount(0);

  await expect(row(page, "Users", "ada").getByRole("button")).toHaveCount(0); // not oneself
  await page.getByLabel("Search").fill("bo");
  await expect(row(page, "Users", "ada")).toHaveCount(0);
  await row(page, "Users", "bob").getByRole("button", { name: "Disable…" }).click();
  await page.getByRole("button", { name: "Disable", exact: true }).click();
  await expect(row(page, "Users", "bob")).toContainText("Disabled");
  await expect(bob.getByRole("heading", { name: "Log in" })).toBeVisible(); // put out at once
  await row(page, "Users", "bob").getByRole("button", { name: "Enable…" }).click();
  await page.getByRole("button", { name: "Enable", exact: true }).click();
  await expect(row(page, "Users", "bob")).toContainText("May log in");
  await row(page, "Users", "bob").getByRole("button", { name: "Administrator…" }).click();
  await page.getByRole("button", { name: "Make an administrator" }).click();
  await expect(row(page, "Users", "bob")).toContainText("Administrator");
  await page.getByLabel("Search").fill("nobody");
  await expect(page.getByText("Nobody matches")).toBeVisible();
});

test("the audit log: filters in the address, older entries, an export", async ({ page }) => {
  await noPicker(page);
  for (let i = 0; i < 60; i++)
    await site.call("PATCH", `/groups/${site.group}`, { description: `Change ${i}` });
  await page.goto(`${site.url}/admin/audit`);
  const rows = page.getByRole("table", { name: "Audit log" }).locator("tbody tr");
  await expect(rows).toHaveCount(50);
  const filtered = page.waitForResponse(/action=update-group/);
  await page.getByLabel("Did").fill("update-group");
  await expect(page).toHaveURL(/action=update-group/);
  await filtered; // before it the button is that of the whole list
  await page.getByRole("button", { name: "Show older ones" }).click();
  await expect(rows).toHaveCount(60);
  await rows.first().getByRole("button", { name: "Only those of ada" }).click();
  await expect(page).toHaveURL(/actor=/);
  const listens = page
    .waitForEvent("websocket")
    .then((ws) =>
      ws.waitForEvent("framereceived", ({ payload }) => /subscribed.*admin/.test(String(payload))),
    );
  await page.reload();
  await listens;
  await page.waitForLoadState("networkidle");
  await expect(rows).toHaveCount(50);
  const again = page.waitForResponse(/\/admin\/audit\?/);
  await site.call("PATCH", `/groups/${site.group}`, { description: "Seen at once" });
  await again; // as the live socket told it
  await page.getByRole("button", { name: "Show older ones" }).click();
  await expect(rows).toHaveCount(61); // the newest came by itself
  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Export CSV" }).click();
  expect(
    readFileSync(await (await download).path(), "utf8")
      .trim()
      .split("\n"),
  ).toHaveLength(62);
  await page.getByRole("combobox", { name: "Outcome" }).fill("refused");
  await expect(page.getByText("No entry matches")).toBeVisible();
  await page.getByRole("button", { name: "Clear the filters" }).click();
  await expect(rows).toHaveCount(50);
  await expect(page).toHaveURL(/audit$/);
});

test("the pages of the administration look right", async ({ page }) => {
  await site.submit({ kind: "nobodys" });
  await site.call("PATCH", `/groups/${site.group}`, { description: "Of everybody" });
  const views = [
    ["overview", "nobodys"],
    ["users", "ada"],
    ["groups", "Workshop"],
    ["audit", "update-group"],
  ];
  for (const [name, text] of views) {
    await page.goto(`${site.url}/admin/${name}`);
    await expect(page.locator("main").getByText(text).first()).toBeVisible();
    await look(page, `admin-${name}`);
  }
});
