import { expect, test } from "@playwright/test";
import { frames, smooth } from "./frames";
import { Workshop } from "./workshop";

let site: Workshop;

test.use({ trace: "off" }); // taking pictures is slower than what is measured

test.beforeAll(async () => {
  site = await Workshop.open();
});

test.afterAll(() => site?.close());

test.beforeEach(({ context }) => site.enter(context));

test("1,000 events a second leave the list responsive", async ({ page }) => {
  const group = site.group;
  let send: (text: string) => void = () => {};
  await page.routeWebSocket(/\/api\/v1\/live$/, (ws) => {
    const server = ws.connectToServer();
    send = (text) => ws.send(text);
    server.onMessage((m) => ws.send(m));
  });
  const first = await site.submit({ kind: "nobodys", title: "There before" });
  await page.goto(`${site.url}/groups/${group}/tasks`);
  await expect(page.locator(`a[href="/tasks/${first}"]`)).toBeVisible();
  const made = {
    group_id: group,
    kind: "k",
    created_by: "u",
    priority: "normal",
    attempt: 1,
    max_attempts: 3,
    failures: 0,
    reassignments: 0,
    timeout_s: 300,
    input_bytes: 1,
    status: "running",
  };
  const rest = await frames(page, 1000);
  const measured = frames(page, 4000);
  const at = new Date().toISOString();
  let sent = 0;
  const began = performance.now();
  const timer = setInterval(() => {
    const due = Math.floor(performance.now() - began) - sent; // one each ms, also where this timer is late
    const lines = Array.from({ length: due }, () => {
      sent++;
      const fresh = sent % 2 === 0; // half are new tasks, half change one that is there
      const n = fresh ? sent : Math.max(2, sent - 41);
      const task = {
        ...made,
        id: `f${String(n).padStart(35, "0")}`,
        title: `Flood ${n}`,
        created_at: at,
        run_at: at,
        progress: { percent: sent % 100 },
      };
      return JSON.stringify({ type: "task", topic: `group:${group}`, task });
    });
    send(lines.join("\n"));
  }, 50);
  const found = await measured;
  clearInterval(timer);
  console.log(`${sent} events in 4 s: ${found}`);
  await expect(page.getByRole("link", { name: /^Flood/ }).first()).toBeVisible();
  expect(sent).toBeGreaterThan(2000);
  expect(found.gaps.at(0.5)).toBeLessThan(smooth(rest));
  expect(found.scripts.at(0.5)).toBeLessThanOrEqual(16);
});
