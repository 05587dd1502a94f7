import { describe, expect, test } from "vitest";
import type { Status, Task } from "../../api/queries/taskTypes";
import {
  applyToLog,
  applyToPages,
  applyToParts,
  Batch,
  newest,
  type Pages,
  unseen,
  withProgress,
} from "./merge";

function task(id: string, more: Partial<Task> = {}): Task {
  return {
    id,
    group_id: "g",
    kind: "k",
    created_by: "u",
    priority: "normal",
    status: "queued",
    created_at: "2026-01-01T00:00:00.000Z",
    run_at: "2026-01-01T00:00:00.000Z",
    attempt: 0,
    max_attempts: 3,
    failures: 0,
    reassignments: 0,
    timeout_s: 300,
    input_bytes: 1,
    ...more,
  };
}

const batch = (...tasks: Task[]) => {
  const b = new Batch();
  for (const t of tasks) b.task(t);
  return b;
};
const pages = (...ids: string[][]): Pages => ({
  pages: ids.map((items, i) => ({
    items: items.map((id) => task(id)),
    next: i < ids.length - 1 ? [] : null,
  })),
  pageParams: ids.map(() => undefined),
});
const ids = (p: Pages) => p.pages.map((x) => x.items.map((t) => t.id));
const any = () => true;

/** A task's life with a lost worker, a retry and an end; each view is newer than those before. */
const later = (s: number) => `2026-01-01T00:00:0${s}.000Z`;
const life: Task[] = [
  task("1"),
  task("1", { status: "running", attempt: 1 }),
  task("1", { status: "queued", attempt: 1, run_at: later(1), reassignments: 1 }),
  task("1", { status: "running", attempt: 2, run_at: later(1) }),
  task("1", { status: "failed", attempt: 2, run_at: later(1) }),
  task("1", { status: "queued", attempt: 2, run_at: later(2) }),
  task("1", { status: "cancelled", attempt: 2, run_at: later(2) }),
];

describe("newest", () => {
  test("the order of arrival does not matter", () => {
    for (const [i, a] of life.entries())
      for (const [j, b] of life.entries())
        expect(newest(a, b)).toBe(life[Math.max(i, j)] === a ? (i === j ? b : a) : b);
  });
  test("keeps the counts of parts that events lack", () => {
    const children = { total: 1, queued: 1, running: 0, succeeded: 0, failed: 0, cancelled: 0 };
    expect(newest(task("1", { children }), task("1", { phase: "open" })).children).toBe(children);
  });
  test("a dropped result is newer than the end", () => {
    const end = task("1", { status: "succeeded" });
    const dropped = { ...end, dropped_at: later(3) };
    expect(newest(dropped, end)).toBe(dropped);
    expect(newest(end, dropped)).toBe(dropped);
  });
});

describe("progress", () => {
  const running = task("1", { status: "running", attempt: 2 });
  test("of this attempt", () => {
    expect(withProgress(running, { task_id: "1", attempt: 2, percent: 5 }).progress?.percent).toBe(5);
  });
  test("of an attempt before, of another task, after the end: nothing", () => {
    expect(withProgress(running, { task_id: "1", attempt: 1, percent: 5 })).toBe(running);
    expect(withProgress(running, { task_id: "2", attempt: 2, percent: 5 })).toBe(running);
    const over = task("1", { status: "succeeded", attempt: 2 });
    expect(withProgress(over, { task_id: "1", attempt: 2, percent: 5 })).toBe(over);
  });
});

describe("applyToPages", () => {
  test("what changes is replaced, all else stays the same object", () => {
    const old = pages(["9", "8"], ["7", "6"]);
    const now = applyToPages(old, batch(task("6", { status: "running", attempt: 1 })), any);
    expect(now.pages[0]).toBe(old.pages[0]);
    expect(now.pages[1]?.items[0]).toBe(old.pages[1]?.items[0]);
    expect(now.pages[1]?.items[1]?.status).toBe("running");
  });
  test("nothing new: the very same data", () => {
    const old = pages(["9"]);
    expect(applyToPages(old, batch(), any)).toBe(old);
    expect(applyToPages(old, batch(task("5")), () => false)).toBe(old);
  });
  test("new ones come in at their place", () => {
    const old = pages(["9", "7"], ["5", "3"]);
    expect(ids(applyToPages(old, batch(task("b"), task("8"), task("6"), task("4"), task("a")), any))).toEqual(
      [
        ["b", "a", "9", "8", "7"],
        ["6", "5", "4", "3"],
      ],
    );
  });
  test("what belongs below the last loaded page waits for it; at the list's end it comes in", () => {
    const open = pages(["9"], ["5"]);
    expect(ids(applyToPages(open, batch(task("1")), any))).toEqual([["9"], ["5", "1"]]);
    const more: Pages = { ...open, pages: open.pages.map((p) => ({ ...p, next: [] })) };
    expect(ids(applyToPages(more, batch(task("1")), any))).toEqual([["9"], ["5"]]);
  });
  test("the first task of an empty list", () => {
    expect(ids(applyToPages(pages([]), batch(task("1")), any))).toEqual([["1"]]);
  });
  test("what no longer matches leaves, unless it is being read", () => {
    const queued = (t: Task) => t.status === ("queued" satisfies Status);
    const b = batch(task("8", { status: "running", attempt: 1 }));
    expect(ids(applyToPages(pages(["9", "8"]), b, queued))).toEqual([["9"]]);
    const held = applyToPages(pages(["9", "8"]), b, queued, true);
    expect(held.pages[0]?.items[1]?.status).toBe("running");
  });
  test("what waits for its page is patched too", () => {
    const old = pages(["9"]);
    const [first] = old.pages;
    if (first) first.next = [{ group: "g", waiting: [task("3")], cursor: "c" }];
    const now = applyToPages(old, batch(task("3", { status: "running", attempt: 1 })), any);
    expect(now.pages[0]?.next?.[0]?.waiting[0]?.status).toBe("running");
    expect(ids(now)).toEqual([["9"]]);
  });
  test("100,000 rows and 1,000 events take no time to speak of", () => {
    const name = (i: number) => String(i).padStart(8, "0");
    const rows = Array.from({ length: 500 }, (_, p) =>
      Array.from({ length: 200 }, (_, i) => name(200_000 - p * 200 - i)),
    );
    const old = pages(...rows);
    const events = Array.from({ length: 1000 }, (_, i) => task(name(200_001 + i)));
    const now = applyToPages(old, batch(...events), any);
    expect(now.pages[0]?.items.length).toBe(1200);
    expect(now.pages.slice(1)).toEqual(old.pages.slice(1));
  });
});

test("parts fill in by index and change", () => {
  const part = (i: number, more: Partial<Task> = {}) => task(`p${i}`, { parent: "1", index: i, ...more });
  const b = batch(
    part(1, { status: "running", attempt: 1 }),
    part(2),
    task("x", { parent: "2", index: 0 }),
    task("1"),
  );
  b.progressOf({ task_id: "p1", attempt: 1, percent: 40 });
  const old = [part(0), part(1)];
  const now = applyToParts(old, b, "1");
  expect(now.map((t) => t.id)).toEqual(["p0", "p1", "p2"]);
  expect(now[0]).toBe(old[0]);
  expect(now[1]?.progress?.percent).toBe(40);
  expect(applyToParts(now, batch(), "1")).toBe(now);
});

test("log lines come in once, in order, and the oldest go", () => {
  const line = (seq: number) => ({
    seq,
    at: later(1),
    attempt: 1,
    stream: "stdout" as const,
    line: `${seq}`,
  });
  const seqs = (l: { seq: number }[]) => l.map((x) => x.seq);
  const old = [line(1), line(2)];
  expect(applyToLog(old, [line(2), line(1)], 10)).toBe(old);
  expect(seqs(applyToLog(old, [line(4), line(2), line(3), line(4)], 10))).toEqual([1, 2, 3, 4]);
  expect(seqs(applyToLog(old, [line(3)], 2))).toEqual([2, 3]);
});

test("unseen counts what stands above", () => {
  const rows = ["9", "8", "5"].map((id) => task(id));
  expect([undefined, "9", "8", "7", "1"].map((s) => unseen(rows, s))).toEqual([0, 0, 1, 2, 3]);
});
