import { expect, test } from "vitest";
import { mergedPage } from "../../api/queries/tasks";
import type { Head, Task } from "../../api/queries/taskTypes";
import { losesDigits, shapeOf, toCsv } from "./shapes";
import { spread } from "./spread";
import { tell } from "./words";

test.each([
  [
    {
      n: "84",
      factors: [
        ["2", 2],
        ["3", 1],
      ],
      prime: false,
    },
    "factors",
  ],
  [{ mean: 2, count: 3, min: 1, max: 3 }, "figures"],
  [3.5, "figures"],
  [[1, 2, 3], "chart"],
  [[{ a: 1 }, { a: 2, b: "x" }], "tables"],
  [[{ a: 1 }, null], "tables"],
  [[null, null], "json"],
  [{ pages: [{ url: "u" }], skipped: [] }, "tables"],
  ["text", "text"],
  [null, "json"],
  [true, "json"],
  [{}, "json"],
  [[], "json"],
  [[1, "2"], "json"],
  [{ pages: [], skipped: [] }, "json"],
  [{ a: { b: 1 } }, "json"],
])("%j is shown as %s", (value, kind) => expect(shapeOf(value).kind).toBe(kind));

test("long whole numbers are noticed, outside of strings only", () => {
  expect(losesDigits('{"n":12345678901234567890}')).toBe(true);
  expect(losesDigits('{"n":"12345678901234567890","m":9007199254740991,"x":0.12345678901234567}')).toBe(
    false,
  );
  expect(losesDigits('["a \\" 12345678901234567890"]')).toBe(false);
});

test("CSV quotes what needs it and disarms formulas, not numbers", () => {
  const table = {
    name: "",
    columns: ["a", "b"],
    rows: [{ a: '=1+1"', b: -1 }, { a: "x,y", b: null }, { b: [1] }],
  };
  expect(toCsv(table)).toBe('a,b\r\n"\'=1+1""",-1\r\n"x,y",\r\n,[1]\r\n');
});

test("of very many numbers the extremes stay", () => {
  const numbers = Array.from({ length: 10_000 }, (_, i) => (i === 5555 ? 1e6 : i % 10));
  const points = spread(numbers, 500);
  expect(points.length).toBeLessThanOrEqual(500);
  expect(points.some((p) => p.index === 5555 && p.value === 1e6)).toBe(true);
  expect(points.every((p, i) => i === 0 || (points[i - 1]?.index ?? 0) < p.index)).toBe(true);
});

test("what happened is told with the worker's name", () => {
  const at = "2026-01-01T00:00:00.000Z";
  expect(tell({ at, event: "worker_lost", worker: "w1", attempt: 1 }).title).toContain("W1 was lost");
  expect(tell({ at, event: "reassigned", worker: "w1" }).title).toContain("w1");
  expect(tell({ at, event: "something_new" }).title).toBe("Something new");
});

/** A group's list, a page of two at a time. */
function lists(all: Record<string, string[]>) {
  const asked: string[] = [];
  const next = async (h: Head): Promise<Head> => {
    if (h.waiting.length > 0 || h.cursor === null) return h;
    asked.push(h.group);
    const ids = all[h.group] ?? [];
    const from = Number(h.cursor ?? 0);
    const waiting = ids.slice(from, from + 2).map((id) => ({ id }) as Task);
    return { ...h, waiting, cursor: from + 2 < ids.length ? String(from + 2) : null };
  };
  const heads = Object.keys(all).map((group): Head => ({ group, waiting: [], cursor: undefined }));
  return { heads, next, asked };
}

test("lists of groups are merged page by page, newest first, without loss", async () => {
  const { heads, next } = lists({ a: ["9", "6", "5", "1"], b: ["8", "7", "4"], c: [] });
  const got: string[] = [];
  let from: Head[] | null = heads;
  for (let i = 0; from && i < 10; i++) {
    const page = await mergedPage(from, next, 3);
    expect(page.items.length).toBeLessThanOrEqual(3);
    got.push(...page.items.map((t) => t.id));
    from = page.next;
  }
  expect(got).toEqual(["9", "8", "7", "6", "5", "4", "1"]);
});

test("one group's page is asked for once", async () => {
  const { heads, next, asked } = lists({ a: ["9", "6", "5", "1"] });
  const page = await mergedPage(heads, next, 2);
  expect([page.items.length, asked]).toEqual([2, ["a"]]);
  expect(page.next).not.toBeNull();
});
