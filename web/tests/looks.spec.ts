import type { Page } from "@playwright/test";
import { look } from "./look";
import { expect, password, register, type Site, strict, test } from "./site";

test.describe.configure({ mode: "parallel" }); // the longest file: the workers share it

test("pages for everybody", async ({ page, site }) => {
  const bad = strict(page, [/404/, /Failed to load resource/]);
  for (const path of ["login", "register", "setup?code=X"]) {
    await page.goto(`${site.url}/${path}`);
    await expect(page.getByRole("heading", { level: 1 })).toBeVisible();
    await look(page, path.replace(/\W.*/, ""));
  }
  await page.goto(`${site.url}/invite/unknown`);
  await expect(page.getByText("Ask whoever gave it to you")).toBeVisible();
  await look(page, "invite-unknown");
  expect(bad).toEqual([]);
});

/** Makes a user, for whom it does something first, with a group, a worker and tasks; returns the group's id. */
async function settle(page: Page, site: Site, name: string, first = async () => {}): Promise<string> {
  await register(page, site, name);
  await first();
  const api = await page.request.post(`${site.url}/api/v1/auth/login`, {
    data: { login: name, password },
  });
  const { access_token } = await api.json();
  const post = async (path: string, data: object) => {
    const headers = { Authorization: `Bearer ${access_token}` };
    const answer = await page.request.post(`${site.url}/api/v1${path}`, { data, headers });
    expect(answer.ok(), await answer.text()).toBe(true);
    return answer.json();
  };
  const group = await post("/groups", {
    name: "Prime hunters",
    description: "Factors of large numbers, found together",
  });
  const token = await post("/tokens", { name: "looks", kind: "worker", groups: [group.id] });
  const worker = site.worker(token.secret, "lab-7");
  await worker.prints(/connected/i);
  for (let i = 0; i < 5; i++)
    await post(`/groups/${group.id}/tasks`, {
      kind: "factorize",
      title: `Number ${i}`,
      input: { n: `${1_000_003 * (i + 2)}` },
    });
  await post(`/groups/${group.id}/tasks`, { kind: "mean", input: { numbers: [] }, max_attempts: 1 });
  await page.goto(site.url);
  await expect(page.getByRole("link", { name: "Prime hunters" })).toBeVisible();
  return group.id;
}

type Place = [name: string, path: string, text: string | RegExp];

async function lookAt(page: Page, site: Site, places: Place[]): Promise<void> {
  for (const [name, path, text] of places) {
    await page.goto(site.url + path);
    await expect(page.locator("main").getByText(text).first()).toBeVisible();
    await look(page, name);
  }
}

const harmless = [/404/, /Failed to load resource/];

test("pages of a group", async ({ page, site }) => {
  const bad = strict(page, harmless);
  const group = await settle(page, site, "vera");
  await lookAt(page, site, [
    ["groups", "/", "Prime hunters"],
    ["group-workers", `/groups/${group}/workers`, "lab-7"],
    ["group-members", `/groups/${group}/members`, "vera"],
    ["group-statistics", `/groups/${group}/statistics`, "How they ended"],
    ["group-settings", `/groups/${group}/settings`, "Leave or delete"],
    ["all-tasks", "/tasks", "Number 4"],
  ]);
  expect(bad).toEqual([]);
});

test("pages of a user", async ({ page, site }) => {
  const bad = strict(page, harmless);
  await settle(page, site, "wanda");
  await lookAt(page, site, [
    ["notifications", "/notifications", /finished|failed/],
    ["account", "/account", "Delete the account"],
    ["account-sessions", "/account?tab=sessions", "this one"],
    ["account-tokens", "/account?tab=tokens", "looks"],
    ["lost", "/nowhere", "There is nothing here"],
  ]);
  expect(bad).toEqual([]);
});

test("pages of one's workers, the palette and the bell", async ({ page, site }) => {
  const bad = strict(page, harmless);
  await settle(page, site, "yara", () => look(page, "groups-empty"));
  await lookAt(page, site, [["workers", "/workers", "lab-7"]]);
  await page.goto(`${site.url}/workers`);
  await page.locator("main").getByRole("link", { name: "lab-7" }).click();
  await expect(page.getByText("Quiet hours").first()).toBeVisible();
  await page.getByRole("button", { name: "Add quiet hours" }).click();
  await look(page, "worker");
  await page.goto(`${site.url}/workers/new`);
  await page.getByRole("button", { name: "Make the command" }).click();
  await look(page, "worker-new", 1);
  await page.keyboard.press("/");
  await page.getByLabel("Go to", { exact: true }).fill("prime");
  await expect(page.getByText("Submit a task to Prime hunters")).toBeVisible();
  await look(page, "palette", 1);
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: /^Notifications/ }).click();
  await look(page, "bell", 1);
  expect(bad).toEqual([]);
});
