import { describe, expect, it } from "vitest";
import { ago, bytes, duration, plural, seconds } from "./format";

describe("format", () => {
  it.each([
    [0, "0 ms"],
    [999, "999 ms"],
    [1000, "1 s"],
    [59_999, "59.9 s"],
    [60_000, "1 min"],
    [725_000, "12 min 5 s"],
    [3_600_000, "1 h"],
    [12_060_000, "3 h 21 min"],
    [187_200_000, "2 d 4 h"],
  ])("%i ms are %s", (ms, words) => expect(duration(ms)).toBe(words));

  it.each([
    [0, "now"],
    [-9, "now"],
    [-30, "30 seconds ago"],
    [-90, "1 minute ago"],
    [7300, "in 2 hours"],
    [-90_000, "yesterday"],
  ])("%i s from now is %s", (s, words) => expect(ago(s * 1000, 0)).toBe(words));

  it.each([
    [512, "512 B"],
    [1536, "1.5 KiB"],
    [3_355_443, "3.2 MiB"],
  ])("%i bytes are %s", (n, words) => expect(bytes(n)).toBe(words));

  it("tells sums of whole seconds", () => {
    expect(seconds(0)).toBe("under 1 s");
    expect(seconds(90)).toBe("1 min 30 s");
  });

  it.each([
    [-30, "30s ago"],
    [-7300, "2h ago"],
  ])("%i s from now is %s in short", (s, words) => expect(ago(s * 1000, 0, true)).toBe(words));

  it("counts", () => {
    expect(plural(1, "task")).toBe("1 task");
    expect(plural(1234, "task")).toBe("1,234 tasks");
  });
});
