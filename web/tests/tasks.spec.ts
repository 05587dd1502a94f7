import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, type Locator, type Page, test } from "@playwright/test";
import { look } from "./look";
import { Workshop } from "./workshop";
import { type Cell, xlsx } from "./xlsx";

let site: Workshop;
let pages: Server;
const talk = ["--exec", 'talk=sh -c "for i in 1 2 3 4 5; do echo line $i >&2; done; echo 5"'];

test.beforeAll(async () => {
  site = await Workshop.open();
  await site.worker("first", "--crawl-delay", "0s", "--crawl-allow-private", ...talk);
  pages = createServer((request, response) => {
    response.setHeader("Content-Type", "text/html");
    response.end(request.url === "/" ? '<title>Home</title><a href="/next">next</a>' : "<title>Next</title>");
  });
  await new Promise<void>((done) => pages.listen(0, "127.0.0.1", done));
});

test.afterAll(async () => {
  pages?.close();
  await site?.close();
});

test.beforeEach(({ context }) => site.enter(context));

const form = async (page: Page, kind: string) => {
  await page.goto(`${site.url}/groups/${site.group}/submit`);
  await page.getByLabel("Kind", { exact: false }).first().fill(kind);
  await page.keyboard.press("Escape");
};
const send = (page: Page) => page.getByRole("button", { name: "Submit", exact: true }).click();
test("factorize, in parts", async ({ page }) => {
  await form(page, "factorize");
  await page.getByLabel("Number").first().fill("600 851 475 143");
  await expect(page.getByText("At most 775,146 divisors")).toBeVisible();
  await page.getByRole("combobox", { name: "Parts", exact: true }).click();
  await page.getByRole("option", { name: "Split into parts" }).click();
  await page.getByText("A number", { exact: true }).click();
  await page.getByLabel("Number of parts").fill("30");
  await page.getByLabel("Title").fill("A famous number");
  await send(page);
  await expect(page.getByRole("heading", { name: "A famous number" })).toBeVisible();
  await expect(page.getByText("71 × 839 × 1471 × 6857")).toBeVisible({ timeout: 20_000 });
  await expect(page.getByText("30 succeeded")).toBeVisible();
  await expect(page.getByRole("slider")).toHaveAttribute("aria-valuetext", /Part 1: succeeded, on first/);
});

test("factorize a prime", async ({ page }) => {
  const prime = "999999999989";
  await form(page, "factorize");
  await page.getByLabel("Number").first().fill(prime);
  await send(page);
  await expect(page.getByText(`${prime} = ${prime}`)).toBeVisible({ timeout: 20_000 });
  await expect(page.getByText("It is a prime number.")).toBeVisible();
});

test("mean of a column of a CSV file, and of a spreadsheet", async ({ page }) => {
  await form(page, "mean");
  await page.getByText("File", { exact: true }).click();
  const files = page.locator("input[type=file]");
  await files.setInputFiles({
    name: "sizes.csv",
    mimeType: "text/csv",
    buffer: Buffer.from('name,size,note\n"a, b",1,x\nc,2,y\nd,6,z\n'),
  });
  await expect(page.getByText("3 numbers from “size”")).toBeVisible();
  await expect(page.getByRole("cell", { name: "a, b" })).toBeVisible();
  await page.getByRole("button", { name: "Take the file away" }).click();
  const rows: Cell[][] = Array.from({ length: 20_000 }, (_, i) => [`name ${i}`, i % 3]);
  await files.setInputFiles({
    name: "Sizes.XLSX",
    mimeType: "",
    buffer: Buffer.from(xlsx([["name", "size"], ...rows])),
  });
  await expect(page.getByText("20,000 numbers from “size”")).toBeVisible();
  await send(page);
  await expect(page.getByRole("region", { name: "Result" })).toContainText("count20,000min0max2", {
    timeout: 20_000,
  });
});

test("crawl shows a table", async ({ page }) => {
  await form(page, "crawl");
  const address = `http://127.0.0.1:${(pages.address() as AddressInfo).port}/`;
  await page.getByLabel("Addresses").fill("nonsense");
  await expect(page.getByText("Line 1")).toBeVisible();
  await page.getByLabel("Addresses").fill(address);
  await send(page);
  await expect(page.getByRole("cell", { name: "Home" })).toBeVisible({ timeout: 20_000 });
  await expect(page.getByRole("cell", { name: `${address}next` })).toBeVisible();
});

test("echo of JSON with a long number, and again with changes", async ({ page }) => {
  await form(page, "echo");
  await page.getByRole("textbox", { name: "Input" }).fill('{"n": ');
  await send(page);
  await expect(page.getByText("This JSON is not complete.")).toBeVisible();
  await page.getByRole("textbox", { name: "Input" }).fill('{"n": 12345678901234567890}');
  await send(page);
  await expect(page.getByText('{"n":12345678901234567890}').first()).toBeVisible({ timeout: 20_000 });
  await page.getByRole("button", { name: "Run again with changes" }).click();
  await expect(page.getByRole("textbox", { name: "Input" })).toHaveValue('{"n":12345678901234567890}');
});

test("a double click submits once", async ({ page }) => {
  await form(page, "echo");
  const bodies: string[] = [];
  page.on("request", (r) => {
    if (r.method() === "POST" && r.url().endsWith("/tasks")) bodies.push(r.postData() ?? "");
  });
  await page.getByLabel("Title").fill("Only once");
  await page.getByRole("button", { name: "Submit", exact: true }).dblclick();
  await expect(page.getByRole("heading", { name: "Only once" })).toBeVisible();
  const list = await site.call("GET", `/groups/${site.group}/tasks?q=only`);
  expect((list.items as unknown[]).length).toBe(1);
  expect(new Set(bodies).size).toBe(1);
});

test("what the server refuses is told at its field", async ({ page }) => {
  await form(page, "echo");
  await page.route("**/tasks", (route) =>
    route.request().method() === "POST"
      ? route.fulfill({
          status: 422,
          contentType: "application/problem+json",
          json: {
            code: "invalid",
            status: 422,
            detail: "Some fields are not valid.",
            errors: [{ field: "body.title", message: "must not have control characters" }],
          },
        })
      : route.continue(),
  );
  await page.getByLabel("Title").fill("bad");
  await send(page);
  await expect(page.getByText("Must not have control characters.")).toBeVisible();
  await expect(page.getByLabel("Title")).toBeFocused();
});

test("a killed worker's task goes to another, seen without a reload", async ({ page }) => {
  await page.goto(`${site.url}/tasks/${await site.submit({ kind: "sleep", input: { ms: 15_000 } })}`);
  await expect(page.getByText("Started on first (attempt 1)")).toBeVisible({ timeout: 20_000 });
  await expect(page.getByRole("progressbar", { name: "Progress" })).toBeVisible();
  await expect(page.getByText(/\d+ of 15000 ms/)).toBeVisible(); // the worker is at it
  await site.kill("first");
  await site.worker("second", ...talk);
  await expect(page.getByText("First was lost while working on it")).toBeVisible({ timeout: 40_000 });
  await expect(page.getByText("Started on second (attempt 2)")).toBeVisible({ timeout: 20_000 });
  await expect(page.getByRole("region", { name: "Result" })).toContainText("slept_ms15,000", {
    timeout: 60_000,
  });
});

test("the log is searched, cancel asks first", async ({ page }) => {
  await page.goto(`${site.url}/tasks/${await site.submit({ kind: "talk" })}`);
  await expect(page.getByText("5 lines", { exact: true })).toBeVisible({ timeout: 20_000 });
  await page.getByLabel("Search the log").fill("line 3");
  await expect(page.getByText("1 line of 5")).toBeVisible();
  await page.goto(
    `${site.url}/tasks/${await site.submit({ kind: "sleep", input: { ms: 600_000 }, title: "Long" })}`,
  );
  await page.getByRole("button", { name: "Cancel…" }).click();
  await page.getByRole("button", { name: "Cancel the task" }).click();
  await expect(page.getByText("Cancelled", { exact: true }).first()).toBeVisible({ timeout: 20_000 });
  await page.getByRole("button", { name: "Retry" }).click();
  await expect(page.getByText("Queued again by hand")).toBeVisible();
  await site.call("POST", `/groups/${site.group}/tasks:cancel`, { filter: { q: "Long" } });
});

test("the tasks of all groups are one list", async ({ page }) => {
  const other = String((await site.call("POST", "/groups", { name: "Second group" })).id);
  await site.submit({ kind: "nobodys", title: "In the workshop" });
  await site.call("POST", `/groups/${other}/tasks`, { kind: "nobodys", title: "Elsewhere" });
  await page.goto(`${site.url}/tasks`);
  await expect(page.getByRole("row").nth(1)).toContainText("Second group");
  await expect(page.getByRole("row").nth(2)).toContainText("In the workshop");
  await site.submit({ kind: "nobodys", title: "Came live" });
  await expect(page.getByRole("row").nth(1)).toContainText("Came live");
});

test("the list: live, filters in the address, new ones wait while one reads, bulk cancel", async ({
  page,
}) => {
  await site.call("POST", `/groups/${site.group}/tasks:batch`, {
    tasks: Array.from({ length: 300 }, (_, i) => ({ kind: "nobodys", title: `Waiting ${i}` })),
  });
  await page.goto(`${site.url}/groups/${site.group}/tasks`);
  await expect(page.getByRole("link", { name: "Waiting 299" })).toBeVisible();
  await site.submit({ kind: "nobodys", title: "Seen at once" });
  await expect(page.getByRole("link", { name: "Seen at once" })).toBeVisible();
  await page.locator("table").hover();
  await page.mouse.wheel(0, 2000);
  const row = page.getByRole("row").filter({ hasText: "Waiting 250" });
  await expect(row).toBeInViewport();
  await page.mouse.move(10, 10);
  const before = await row.boundingBox();
  await site.submit({ kind: "nobodys", title: "Came meanwhile" });
  await expect(page.getByRole("button", { name: "1 new task" })).toBeVisible();
  expect(await row.boundingBox()).toEqual(before);
  await page.getByRole("button", { name: "1 new task" }).click();
  await expect(page.getByRole("link", { name: "Came meanwhile" })).toBeVisible();

  await page.getByLabel("Search").fill("wait");
  await page.getByRole("combobox", { name: "Status" }).click();
  await page.getByRole("option", { name: "Queued" }).click();
  await expect(page).toHaveURL(/q=wait/);
  await expect(page).toHaveURL(/status=queued/);
  await page.reload();
  await expect(page.getByText("200 tasks so far")).toBeVisible();
  await page.getByRole("checkbox", { name: "Select Waiting 299" }).click();
  await page.getByRole("checkbox", { name: "Select Waiting 297" }).click({ modifiers: ["Shift"] });
  await expect(page.getByText("3 tasks selected")).toBeVisible();
  await page.getByRole("button", { name: "Cancel selected…" }).click();
  await page.getByRole("button", { name: "Cancel 3 tasks" }).click();
  const toast = page.getByRole("alert").filter({ hasText: "Cancels 3 tasks in 5 seconds" });
  await toast.getByRole("button", { name: "Undo" }).click(); // before they are over
  await expect(page.getByText("3 tasks selected")).toBeVisible();
  await page.getByRole("button", { name: "Cancel selected…" }).click();
  await page.getByRole("button", { name: "Cancel 3 tasks" }).click();
  await expect(page.getByText("3 tasks were asked to stop.")).toBeVisible({ timeout: 20_000 });
  await page.getByRole("button", { name: "Cancel all that match…" }).click();
  await page.getByRole("button", { name: "Cancel 297 tasks" }).click();
  await expect(page.getByText("297 tasks were asked to stop.")).toBeVisible({ timeout: 20_000 });
  await expect(page.getByText("No task matches")).toBeVisible();
  const dry = { filter: { q: "wait" }, dry_run: true };
  expect(await site.call("POST", `/groups/${site.group}/tasks:retry`, dry)).toMatchObject({ count: 300 });
});

test("the pages of tasks look right", async ({ page }) => {
  const fan = await site.submit({
    kind: "sleep",
    inputs: [...Array.from({ length: 60 }, () => ({ ms: 1 })), {}],
    title: "Many",
    allow_failures: 1,
    max_attempts: 1,
  });
  const failed = await site.submit({ kind: "sleep", input: "wrong", title: "Wrong input" });
  const views: [string, string, Locator][] = [
    ["list", `/groups/${site.group}/tasks`, page.getByRole("link", { name: "Many" })],
    ["submit", `/groups/${site.group}/submit`, page.getByLabel("Number").first()],
    ["parts", `/tasks/${fan}`, page.getByText("60 succeeded")],
    ["failed", `/tasks/${failed}`, page.getByText("It failed")],
  ];
  for (const [name, path, there] of views) {
    await page.goto(site.url + path);
    await expect(there).toBeVisible({ timeout: 20_000 });
    await look(page, `tasks-${name}`);
  }
});

test("a group's statistics move while tasks end", async ({ page }) => {
  await site.submit({ kind: "sleep", input: { ms: 1 } });
  for (const window of ["Hour", "Day", "Week"]) {
    await page.goto(`${site.url}/groups/${site.group}/statistics`);
    await page.getByText(window, { exact: true }).click();
    const throughput = page.getByRole("region", { name: "Throughput" });
    await expect(throughput).toContainText(/[\d,]+ in all/);
    const before = Number(
      /([\d,]+) in all/.exec((await throughput.textContent()) ?? "")?.[1]?.replace(",", ""),
    );
    await expect(throughput.locator("path.recharts-area-area")).toHaveCount(3);
    await site.submit({ kind: "sleep", input: { ms: 1 } });
    await expect(throughput).toContainText(`${before + 1} in all`);
  }
  await expect(page.getByRole("region", { name: "Success rate" })).toContainText("succeeded");
});
