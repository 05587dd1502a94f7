import type { WebSocketRoute } from "@playwright/test";
import { expect, password, register, strict, test } from "./site";

test("the first administrator sets the server up, logs out and in again", async ({ page, site }) => {
  const bad = strict(page);
  await page.goto(`${site.url}/setup?code=${await site.setupCode()}`);
  await page.getByLabel("User name").fill("root");
  await page.getByLabel("Email").fill("root@example.org");
  await page.getByLabel(/^Password/).fill(password);
  await page.getByRole("button", { name: "Make the administrator" }).click();
  await expect(page.getByText("You are in no group yet")).toBeVisible();
  await page.getByRole("button", { name: "Account of root" }).click();
  await page.getByRole("menuitem", { name: "Log out" }).click();
  await page.getByLabel("User name or email").fill("root");
  await page.getByLabel(/^Password/).fill(password);
  await page.getByRole("button", { name: "Log in" }).click();
  await expect(page.getByText("You are in no group yet")).toBeVisible();
  await page.reload(); // the cookie is enough
  await expect(page.getByText("You are in no group yet")).toBeVisible();
  expect(bad).toEqual([]);
});

test("two people share a group and see a worker come, live; a third sees nothing", async ({
  browser,
  site,
}) => {
  const people = await Promise.all(
    ["ada", "bob", "eve"].map(async () => (await browser.newContext()).newPage()),
  );
  const [ada, bob, eve] = people as [(typeof people)[0], (typeof people)[0], (typeof people)[0]];
  const bad = [strict(ada), strict(bob), strict(eve, [/404/, /Failed to load resource/])];
  await register(ada, site, "ada");
  await ada.getByRole("button", { name: "New group" }).click();
  await ada.getByLabel("Name").fill("Prime hunters");
  await ada.getByRole("button", { name: "Make the group" }).click();
  await expect(ada.getByRole("heading", { name: "Prime hunters" })).toBeVisible();
  const group = new URL(ada.url()).pathname.split("/")[2];

  await register(bob, site, "bob");
  await ada.getByRole("tab", { name: "Members" }).click();
  await ada.getByLabel("User name").fill("bob");
  await ada.getByRole("button", { name: "Invite", exact: true }).click();
  await bob.getByRole("button", { name: "Join", exact: true }).click(); // came without a reload
  await bob.getByRole("link", { name: "Prime hunters" }).click();
  await bob.getByRole("tab", { name: "Workers" }).click();
  await expect(bob.getByText("No worker is connected")).toBeVisible();
  await expect(ada.getByRole("table", { name: "Members" }).getByText("bob")).toBeVisible(); // live

  await ada.getByRole("link", { name: "Add a worker" }).click();
  await ada.getByRole("button", { name: "Make the command" }).click();
  const command = await ada.getByTestId("command-go").textContent().then(String);
  expect(command).toContain(`FIRMLIGHT_SERVER=${site.url}`);
  const worker = site.worker(/FIRMLIGHT_TOKEN=(\S+)/.exec(command)?.[1] ?? "", "lab-1");
  await expect(ada.getByRole("status").getByText("is connected, with 2 slots")).toBeVisible();
  await expect(bob.getByRole("table", { name: "Workers" }).getByText("lab-1")).toBeVisible();

  await ada.getByRole("link", { name: "lab-1" }).click();
  await ada.getByRole("switch", { name: "Takes tasks" }).click({ force: true });
  await ada.getByRole("button", { name: "Save" }).click();
  await expect(ada.getByText("Paused")).toBeVisible();
  await worker.stop();
  await expect(bob.getByText("No worker is connected")).toBeVisible();

  await register(eve, site, "eve");
  await expect(eve.getByText("You are in no group yet")).toBeVisible();
  await eve.goto(`${site.url}/groups/${group}/members`);
  await expect(eve.getByText("There is nothing here")).toBeVisible();
  expect(bad.flat()).toEqual([]);
});

test("somebody without an account comes in by a link", async ({ browser, site }) => {
  const owner = await (await browser.newContext()).newPage();
  await register(owner, site, "olga");
  await owner.getByRole("button", { name: "New group" }).click();
  await owner.getByLabel("Name").fill("Open house");
  await owner.getByRole("button", { name: "Make the group" }).click();
  await owner.getByRole("tab", { name: "Members" }).click();
  await owner.getByRole("button", { name: "Make a link" }).click();
  const link = await owner.getByTestId("invite-link").textContent().then(String);
  const guest = await (await browser.newContext()).newPage();
  const bad = strict(guest, [/404/, /Failed to load resource/]);
  await guest.goto(link);
  await guest.getByRole("link", { name: "Make an account" }).click();
  await guest.getByLabel("User name").fill("gast");
  await guest.getByLabel("Email").fill("gast@example.org");
  await guest.getByLabel(/^Password/).fill("short");
  await guest.getByRole("button", { name: "Make the account" }).click();
  await expect(guest.getByText("8 to 128 characters")).toBeVisible();
  await guest.getByLabel(/^Password/).fill(password);
  await guest.getByRole("button", { name: "Make the account" }).click();
  await expect(guest.getByRole("link", { name: "Open house" })).toBeVisible();
  await guest.goto(`${link}x`);
  await expect(guest.getByText("Ask whoever gave it to you for a new one")).toBeVisible();
  expect(bad).toEqual([]);
});

test("a page says that the connection is broken, and catches up by itself", async ({ page, site }) => {
  let cut = false;
  const sockets: WebSocketRoute[] = [];
  await page.routeWebSocket(/\/api\/v1\/live/, (socket) => {
    if (cut) return void socket.close({ code: 1001 });
    sockets.push(socket);
    socket.connectToServer();
  });
  await register(page, site, "rita");
  await expect(page.getByText("You are in no group yet")).toBeVisible();
  await expect.poll(() => sockets.length).toBeGreaterThan(0);
  cut = true;
  for (const socket of sockets) await socket.close({ code: 1001 });
  const other = await page.context().newPage();
  await other.goto(site.url);
  await other.getByRole("button", { name: "New group" }).click();
  await other.getByLabel("Name").fill("After the storm");
  await other.getByRole("button", { name: "Make the group" }).click();
  await expect(other.getByRole("heading", { name: "After the storm" })).toBeVisible();
  await expect(page.getByText("No connection to the server")).toBeVisible();
  await expect(page.getByText("You are in no group yet")).toBeVisible();
  // The network comes back with the click: before, the page may try by itself as it likes.
  await page.exposeFunction("mend", () => {
    cut = false;
  });
  await page.evaluate(() =>
    addEventListener("click", () => (window as unknown as { mend: () => void }).mend(), { capture: true }),
  );
  await page.getByRole("button", { name: "Try now" }).click();
  await expect(page.getByRole("link", { name: "After the storm" })).toBeVisible({ timeout: 30_000 });
  await expect(page.getByText("No connection to the server")).toBeHidden();
});

test("a page outlives its server", async ({ page, site }) => {
  await register(page, site, "sina");
  await site.stopServer();
  await expect(page.getByText("No connection to the server")).toBeVisible();
  await site.startServer();
  await expect(page.getByText("No connection to the server")).toBeHidden({ timeout: 30_000 });
  await page.getByRole("button", { name: "New group" }).click();
  await page.getByLabel("Name").fill("Still here");
  await page.getByRole("button", { name: "Make the group" }).click();
  await expect(page.getByRole("heading", { name: "Still here" })).toBeVisible();
});
