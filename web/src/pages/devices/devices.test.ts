import { describe, expect, it } from "vitest";
import {
  type Alert,
  belongs,
  type Device,
  type DeviceFilter,
  type DeviceSum,
  withAlert,
  withDevices,
} from "../../api/queries/devices";
import type { Page } from "../../api/queries/pages";
import { fromLocal, oneOf, toLocal } from "../../ui/address";
import { statesOf } from "./badges";
import { failuresFilter } from "./Failures";
import { eventFilter } from "./History";
import { fromForm, toForm } from "./Rules";
import { points, spans, total } from "./sums";

const at = "2026-01-01T00:00:00.000Z";
const device = (device_id: string, more: Partial<Device> = {}): Device => ({
  device_id,
  group: "g",
  name: "",
  tags: [],
  state: "active",
  first_seen_at: at,
  last_seen_at: at,
  newest_at: at,
  last_success_at: at,
  last_failure_at: null,
  streak: 0,
  status: "ok",
  totals: { events: 1, failed: 0, partial: 0, files: 1, errors: 0 },
  usual_interval_s: null,
  silent: false,
  failing: false,
  ...more,
});

it("finds devices by part of an id, name or tag, by tag and by status, as the server does", () => {
  const d = device("press-1", {
    name: "Über the door",
    tags: ["Hall", "2"],
    failing: true,
    status: "failed",
  });
  const found = (f: Partial<DeviceFilter>) =>
    belongs(d, { state: "active", q: "", tag: "", status: "", ...f });
  for (const f of [
    {},
    { q: "ESS" },
    { q: "über" },
    { q: "al" },
    { tag: "hall" },
    { status: "failing" as const },
  ])
    expect(found(f), JSON.stringify(f)).toBe(true);
  for (const f of [{ state: "retired" as const }, { q: "x" }, { tag: "hal" }, { status: "ok" as const }])
    expect(found(f), JSON.stringify(f)).toBe(false);
  expect(found({ q: "press", tag: "2", status: "failed" })).toBe(true);
  expect(found({ q: "press", tag: "2", status: "silent" })).toBe(false);
});

/** Pages of a list; `more`: it was not read to its end. */
const listed = <T>(more: boolean, ...pages: T[][]) => ({
  pages: pages.map(
    (items, i): Page<T> => ({ items, next_cursor: more || i < pages.length - 1 ? `c${i}` : null }),
  ),
  pageParams: pages.map((_, i) => (i ? `c${i - 1}` : undefined)),
});

describe("a list of devices", () => {
  const active = (d: Device) => d.state === "active";
  const ids = (more: boolean, news: Device[], ...pages: string[][]) =>
    withDevices(
      listed(more, ...pages.map((p) => p.map((id) => device(id)))),
      new Map(news.map((d) => [d.device_id, d])),
      active,
    ).pages.map((p) => p.items.map((d) => d.device_id + "!".repeat(d.streak)).join(" "));

  it.each<[string, boolean, Device[], string[]]>([
    ["changes a device in its place", true, [device("b", { streak: 1 })], ["a b!", "d f"]],
    ["puts a new one where its id belongs", true, [device("c")], ["a b", "c d f"]],
    ["puts a new one before all others", true, [device("A")], ["A a b", "d f"]],
    ["leaves out what comes after what was read", true, [device("x")], ["a b", "d f"]],
    ["puts it at the end where all was read", false, [device("x")], ["a b", "d f x"]],
    ["lets go of one that is retired", false, [device("d", { state: "retired" })], ["a b", "f"]],
    ["takes no new one that does not belong", false, [device("c", { state: "retired" })], ["a b", "d f"]],
  ])("%s", (_, more, news, want) => expect(ids(more, news, ["a", "b"], ["d", "f"])).toEqual(want));

  it("begins with its first device", () => expect(ids(false, [device("n")], [])).toEqual(["n"]));
});

describe("alerts", () => {
  const alert = (id: string, recovered_at: string | null = null): Alert => ({
    id,
    type: "failing",
    device_id: "d",
    name: "",
    since: at,
    streak: 3,
    opened_at: at,
    recovered_at,
  });
  it.each<[string, Alert, boolean, string[]]>([
    ["come first", alert("3"), true, ["3", "2", "1"]],
    ["that are over leave the open ones", alert("1", at), true, ["2"]],
    ["that are over stay among all", alert("1", at), false, ["2", "1 over"]],
    ["of which the opening was missed are only among all", alert("3", at), false, ["3 over", "2", "1"]],
    ["of which the opening was missed are not among the open ones", alert("3", at), true, ["2", "1"]],
  ])("%s", (_, news, open, want) =>
    expect(
      withAlert(listed(false, [alert("2"), alert("1")]), news, open).pages.flatMap((p) =>
        p.items.map((a) => (a.recovered_at ? `${a.id} over` : a.id)),
      ),
    ).toEqual(want),
  );
});

describe("what is said of a device", () => {
  it.each<[Partial<Device>, string[]]>([
    [{}, ["ok"]],
    [{ status: "failed" }, ["failed"]],
    [{ status: "failed", failing: true, silent: true }, ["failing", "silent"]],
    [{ state: "retired", failing: true }, ["retired"]],
  ])("%o: %o", (more, want) => expect(statesOf(device("d", more))).toEqual(want));
});

describe("sums", () => {
  const sum = (time: string, events: number, failed: number, partial: number): DeviceSum => ({
    at: time,
    events,
    failed,
    partial,
    files: 10,
    errors: failed,
    speed: { p50: 5, p95: 9 },
  });
  const now = Date.parse("2026-01-02T10:30:00.000Z");
  const sums = [sum("2026-01-02T08:00:00.000Z", 5, 3, 2), sum("2026-01-02T10:00:00.000Z", 1, 0, 0)];

  it("become a point for each hour, also for those without events", () => {
    const all = points(sums, spans[0], now);
    expect(all).toHaveLength(25);
    expect(all.at(-3)).toMatchObject({ ok: 2, partial: 2, failed: 1, half: 5, most: 9 });
    expect(all.at(-2)).toMatchObject({ ok: 0, partial: 0, failed: 0, files: 0, half: null });
    expect(all.at(-1)).toMatchObject({ ok: 1 });
  });
  it("of a clock that is ahead are shown", () =>
    expect(points([sum("2026-01-02T12:00:00.000Z", 1, 0, 0)], spans[0], now).at(-1)?.ok).toBe(1));
  it("of days begin with the day", () => {
    const all = points([sum("2026-01-02T00:00:00.000Z", 2, 0, 0)], spans[2], now);
    expect(all).toHaveLength(31);
    expect(all.at(-1)?.ok).toBe(2);
  });
  it("add up", () => expect(total(sums)).toEqual({ events: 6, failed: 3, files: 20, errors: 3 }));
});

describe("the address", () => {
  it.each([
    ["", { mode: "total", threshold: 3, window: "24h" }],
    ["mode=consecutive&threshold=0&window=7d", { mode: "consecutive", threshold: 0, window: "7d" }],
    ["mode=x&threshold=-1&window=1y", { mode: "total", threshold: 3, window: "24h" }],
    ["threshold=1.5", { mode: "total", threshold: 3, window: "24h" }],
  ])("%s asks for these failures", (text, want) =>
    expect(failuresFilter(new URLSearchParams(text))).toEqual(want),
  );
  it("asks for events", () => {
    expect(eventFilter(new URLSearchParams(`status=failed&from=${at}&to=nonsense`))).toEqual({
      status: "failed",
      from: at,
    });
    expect(eventFilter(new URLSearchParams("status=broken"))).toEqual({});
  });
  it("has one of some values", () => {
    expect(oneOf("b", ["a", "b"])).toBe("b");
    expect(oneOf("c", ["a", "b"])).toBe("a");
    expect(oneOf(null, ["a", "b"])).toBe("a");
  });
  it("has times as their inputs do", () => {
    expect(fromLocal(toLocal("2026-03-04T05:06:00.000Z"))).toBe("2026-03-04T05:06:00.000Z");
    expect([toLocal("x"), toLocal(null), fromLocal("")]).toEqual(["", "", undefined]);
  });
});

describe("rules", () => {
  const rules = { failures: 5, silent_s: 5400, grace_s: 90, approval: true, webhook_url: "https://h/" };
  it("are the same after the form", () => {
    expect(fromForm(toForm(rules))).toEqual(rules);
    expect(fromForm(toForm({ ...rules, silent_s: "learned" }))).toEqual({ ...rules, silent_s: "learned" });
  });
  it("keep the silence that was chosen before another", () =>
    expect(toForm(rules)).toMatchObject({ silence: "own", silent_min: 90, grace_min: 1.5 }));
});
