import { readFileSync } from "node:fs";
import { expect, type Page, test } from "@playwright/test";
import { look } from "./look";
import { noPicker, strict } from "./site";
import { Workshop } from "./workshop";

let site: Workshop;
let token: string; // of the devices
let fleet: string; // the address of the page

test.beforeEach(async ({ context }) => {
  const group = await site.call("POST", "/groups", { name: "Kiosks" });
  site.group = String(group.id);
  const made = await site.call("POST", "/tokens", { name: "kiosks", kind: "device", groups: [site.group] });
  token = String(made.secret);
  fleet = `${site.url}/groups/${site.group}/devices`;
  await site.enter(context);
});

test.beforeAll(async () => {
  site = await Workshop.open();
});

test.afterAll(() => site?.close());

interface Report {
  ago?: number; // minutes
  files?: number;
  errors?: number;
}

const report = (device: string, { ago = 0, files = 3, errors = 0 }: Report = {}) => ({
  device_id: device,
  timestamp: new Date(Date.now() - ago * 60_000).toISOString(),
  total_files_synced: files,
  total_errors: errors,
  internet_speed: 40 + (ago % 50),
});

/** Sends events as devices do, in their order. */
const send = async (...events: object[]) => {
  const { results } = await site.call("POST", "/sync-events", events, token);
  for (const r of results as { status: number }[]) expect(r.status).toBe(201);
};

const lines = (file: string) => file.trim().split("\n");

const rules = (more: object) =>
  site.call("PUT", `/groups/${site.group}/alert-rules`, { grace_s: 0, ...more });
const row = (page: Page, table: string, text: string) =>
  page.getByRole("table", { name: table }).getByRole("row").filter({ hasText: text });

test("a device reports, keeps failing and recovers, all seen without a reload", async ({ page }) => {
  const bad = strict(page);
  await page.goto(fleet);
  await expect(page.getByText("No device has reported yet")).toBeVisible();
  await look(page, "devices-empty");
  await page.getByRole("tab", { name: "Rules" }).click();
  await page.getByLabel("Failed syncs in a row").fill("2");
  await page.getByLabel("Minutes to wait before").fill("0");
  await page.getByRole("radio", { name: "A time of our own" }).click();
  await page.getByLabel("Minutes without a report").fill("90");
  await page.getByRole("textbox", { name: "Webhook" }).fill("ftp://nowhere");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("must be an http or https URL").first()).toBeVisible();
  await page.getByRole("textbox", { name: "Webhook" }).fill("");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("The rules are in force")).toBeVisible();
  await page.getByRole("tab", { name: "Fleet" }).click();
  await send(report("kiosk-1"));
  await expect(row(page, "Devices", "kiosk-1")).toContainText("OK");
  await send(report("kiosk-1", { errors: 2 }), report("kiosk-1", { files: 0, errors: 9, ago: -1 }));
  await expect(row(page, "Devices", "kiosk-1")).toContainText("Keeps failing");
  await expect(page.getByText("kiosk-1 keeps failing")).toBeVisible(); // the toast
  await page.getByRole("tab", { name: "Alerts" }).click();
  await expect(row(page, "Alerts", "kiosk-1")).toContainText("Failed 2 times in a row");
  await send(report("kiosk-1", { ago: -2 }));
  await expect(page.getByText("Nothing is wrong")).toBeVisible();
  await page.getByRole("radiogroup", { name: "Which alerts" }).getByText("All").click();
  await expect(row(page, "Alerts", "kiosk-1")).toContainText("after");
  expect(bad.filter((b) => !/422/.test(b))).toEqual([]);
});

test("a device's page: charts, filters in the address, older events, an export, live", async ({ page }) => {
  await noPicker(page);
  const odd = "hall/a.b %2F é";
  await send(...Array.from({ length: 60 }, (_, i) => report(odd, { ago: 60 - i, errors: i % 10 ? 0 : 1 })));
  await page.goto(fleet);
  await page.getByRole("link", { name: odd }).click();
  await expect(page.getByRole("heading", { name: odd })).toBeVisible();
  await page.reload();
  await expect(page.getByRole("heading", { name: odd })).toBeVisible();
  const rows = page.getByRole("table", { name: "Syncs" }).locator("tbody tr");
  await expect(rows).toHaveCount(50);
  await page.getByRole("button", { name: "Show older ones" }).click();
  await expect(rows).toHaveCount(60);
  await expect(page.getByText("180 files, 6 errors")).toBeVisible();
  await page.getByRole("combobox", { name: "Status" }).click();
  await page.getByRole("option", { name: "Partial" }).click();
  await expect(page).toHaveURL(/status=partial/);
  await expect(rows).toHaveCount(6);
  await send(report(odd, { ago: -1, errors: 1 }));
  await expect(rows).toHaveCount(7);
  await page.getByLabel("From").fill("2100-01-01T00:00");
  await expect(page.getByText("No sync matches")).toBeVisible();
  await page.getByLabel("From").fill("2000-02-01T00:00");
  await expect(rows).toHaveCount(7);
  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Export CSV" }).click();
  const exported = lines(readFileSync(await (await download).path(), "utf8"));
  expect(exported).toHaveLength(62); // a header, and all since 2000
  expect(exported[0]).toMatch(/^device_id,timestamp/);
});

test("new devices wait for approval; names, tags, and out of use", async ({ page, browser }) => {
  await rules({ approval: true });
  await page.goto(`${fleet}/fleet`);
  await page.getByText("Waiting for approval").click();
  await expect(page.getByText("No device waits for approval")).toBeVisible();
  await send(report("lobby"), report("stranger"));
  await expect(row(page, "Devices", "stranger")).toContainText("Waits for approval"); // live
  await site.register("mia");
  const mia = await browser.newContext();
  await site.enter(mia, "mia");
  const theirs = await mia.newPage();
  await site.call("POST", `/groups/${site.group}/invitations`, { username: "mia" });
  await theirs.goto(site.url);
  await theirs.getByRole("button", { name: "Join", exact: true }).click();
  await expect(theirs.getByRole("link", { name: "Kiosks" })).toBeVisible();
  await theirs.goto(fleet);
  await expect(theirs.getByText("No device has reported yet")).toBeVisible();

  await look(page, "devices-pending");
  await page.getByRole("button", { name: "Accept: lobby" }).click();
  await expect(row(page, "Devices", "lobby")).toHaveCount(0);
  await row(page, "Devices", "stranger").getByRole("button", { name: "Reject…" }).click();
  await page.getByRole("button", { name: "Reject", exact: true }).click();
  await expect(page.getByText("No device waits for approval")).toBeVisible();

  await page.getByText("In use").click();
  await page.getByRole("button", { name: "Edit: lobby" }).click();
  await page.getByLabel("Name").fill("The one by the door");
  await page.getByRole("combobox", { name: "Tags" }).fill("north");
  await page.keyboard.press("Enter");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(row(page, "Devices", "The one by the door")).toContainText("north");
  await expect(row(theirs, "Devices", "The one by the door")).toBeVisible(); // live, with its name
  await expect(theirs.getByRole("button", { name: /Edit/ })).toHaveCount(0);

  await row(page, "Devices", "lobby").getByRole("button", { name: "Retire…" }).click();
  await page.getByRole("button", { name: "Retire", exact: true }).click();
  await expect(page.getByText("No device has reported yet")).toBeVisible();
  await page.getByText("Retired", { exact: true }).click();
  await expect(row(page, "Devices", "stranger")).toBeVisible();
  await page.getByRole("button", { name: "Use again: The one by the door" }).click();
  await expect(row(page, "Devices", "lobby")).toHaveCount(0);
  await page.getByText("In use").click();
  await page.getByLabel("Search").fill("obb");
  await expect(page).toHaveURL(/q=obb/);
  await expect(row(page, "Devices", "lobby")).toBeVisible();
  await page.getByLabel("Search").fill("DOOR"); // a part of its name
  await expect(page).toHaveURL(/q=DOOR/);
  await expect(row(page, "Devices", "lobby")).toBeVisible();
  await page.getByRole("button", { name: "north" }).click(); // its tag
  await expect(page).toHaveURL(/tag=north/);
  await expect(row(page, "Devices", "lobby")).toBeVisible();
  await page.getByRole("combobox", { name: "Status" }).click();
  await page.getByRole("option", { name: "Failed last time" }).click();
  await expect(page.getByText("No device matches")).toBeVisible();
  await page.reload();
  await expect(page.getByText("No device matches")).toBeVisible();
  await send(report("lobby", { ago: -5, errors: 1 }));
  await expect(row(page, "Devices", "lobby")).toContainText("Failed"); // it came by itself
  await page.getByLabel("Search").fill("nothing");
  await page.getByRole("button", { name: "Clear the filters" }).click();
  await expect(page).not.toHaveURL(/q=|tag=|status=/);
});

test("devices that fail again and again, by total and in a row", async ({ page }) => {
  await send(
    ...[9, 8, 7, 6].map((ago) => report("often", { ago, errors: 1 })),
    report("often"),
    ...[3, 2].map((ago) => report("lately", { ago, errors: 1 })),
  );
  await page.goto(`${fleet}/failures`);
  await expect(row(page, "Devices that fail", "often")).toBeVisible();
  await expect(row(page, "Devices that fail", "lately")).toHaveCount(0);
  await page.getByText("In a row", { exact: true }).click();
  await expect(page.getByText("No device fails so often")).toBeVisible();
  await page.getByLabel("At least").click();
  await page.keyboard.press("Backspace");
  await page.keyboard.type("2");
  await expect(page).toHaveURL(/mode=consecutive.*threshold=2|threshold=2.*mode=consecutive/);
  await expect(row(page, "Devices that fail", "lately")).toBeVisible();
  await send(report("lately", { ago: -1 }));
  await expect(page.getByText("No device fails so often")).toBeVisible(); // without a reload
});

test("the pages of devices look right", async ({ page }) => {
  const bad = strict(page);
  await rules({ failures: 3, webhook_url: "https://example.org/hook" });
  const kiosks = ["kiosk-berlin", "kiosk-lisbon", "kiosk-porto", "kiosk-turin"];
  await send(
    ...kiosks.flatMap((device, k) =>
      Array.from({ length: 40 }, (_, i) =>
        report(device, {
          ago: (40 - i) * 30,
          files: (i * 7 + k * 3) % 23,
          errors: (k === 2 && i > 35) || (i + k) % 13 === 0 ? 2 : 0,
        }),
      ),
    ),
  );
  await site.call("PATCH", `/devices/kiosk-lisbon?group=${site.group}`, {
    name: "Lisbon, main hall",
    tags: ["south", "touch screen"],
  });
  const device = `${site.url}/groups/${site.group}/device?id=kiosk-porto`;
  const views: [string, string, string | RegExp][] = [
    ["fleet", `${fleet}/fleet`, "Keeps failing"],
    ["failures", `${fleet}/failures?window=7d`, "kiosk-porto"],
    ["alerts", `${fleet}/alerts`, "kiosk-porto"],
    ["rules", `${fleet}/rules`, "Secret of the webhook"],
    ["device", device, /^kiosk-porto/],
  ];
  for (const [name, path, text] of views) {
    await page.goto(path);
    await expect(page.locator("main").getByText(text).first()).toBeVisible();
    await look(page, `devices-${name}`);
  }
  expect(bad).toEqual([]);
});

for (const asks of [true, false])
  test(`an export tells how far it is and stops, ${asks ? "on its way to the disk" : "as a download"}`, async ({
    page,
  }) => {
    await send(...Array.from({ length: 5000 }, (_, i) => report("busy", { ago: 5000 - i })));
    // No picker can be answered here: the file goes to the browser's own files.
    const own = () =>
      navigator.storage.getDirectory().then((d) => d.getFileHandle("sync-events.csv", { create: true }));
    if (asks) await page.addInitScript(`window.showSaveFilePicker = ${own}`);
    else await noPicker(page);
    await page.goto(`${fleet}/fleet`);
    const start = page.getByRole("button", { name: "Export CSV" });
    const network = await page.context().newCDPSession(page);
    const at = (downloadThroughput: number) =>
      network.send("Network.emulateNetworkConditions", {
        offline: false,
        latency: 0,
        downloadThroughput,
        uploadThroughput: -1,
      });
    const written = async () =>
      (await page.evaluate(`(${own})().then((h) => h.getFile()).then((f) => f.text())`)) as string;

    await expect(start).toBeVisible();
    await at(50_000); // bytes a second
    await start.click();
    await expect(page.getByText(/^[1-9]\d*(\.\d)? KiB so far$/)).toBeVisible();
    await page.getByRole("button", { name: "Stop the export" }).click();
    await expect(start).toBeVisible();
    await expect(page.getByRole("alert")).toHaveCount(0);
    if (asks) expect(await written()).toBe("");

    await at(-1);
    const download = asks ? undefined : page.waitForEvent("download");
    await start.click();
    if (download) expect(lines(readFileSync(await (await download).path(), "utf8"))).toHaveLength(5001);
    else await expect.poll(async () => lines(await written()).length).toBe(5001);
    await expect(start).toBeVisible();
  });
