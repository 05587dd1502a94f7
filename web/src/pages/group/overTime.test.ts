import { describe, expect, it } from "vitest";
import { hasTimes, overTime } from "./overTime";

const at = (h: number, m = 0) => new Date(Date.UTC(2026, 2, 10, h, m)).toISOString();
const half = (p50: number) => ({ p50, p95: p50, p99: p50 });

describe("statistics over time", () => {
  const series = {
    step_s: 3600,
    steps: [
      { at: at(7), succeeded: 3, failed: 1, cancelled: 5, wait_ms: half(20), run_ms: half(40) },
      { at: at(9), succeeded: 0, failed: 0, cancelled: 2, wait_ms: half(0), run_ms: half(0) },
    ],
  };

  it("has a point for every step, and nothing where nothing is known", () => {
    const points = overTime(series, 3, Date.parse(at(9, 30)));
    expect(points.map(({ at: _, ...p }) => p)).toEqual([
      { rate: null, Waiting: null, Running: null },
      { rate: 0.75, Waiting: 20, Running: 40 },
      { rate: null, Waiting: null, Running: null },
      { rate: null, Waiting: null, Running: null },
    ]);
    expect(new Set(points.map((p) => p.at)).size).toBe(4);
  });

  it("goes as far as the server does, whose clock may be ahead", () => {
    expect(overTime(series, 3, Date.parse(at(8, 59)))).toHaveLength(5);
  });

  it("knows that minutes have no times", () => {
    expect(hasTimes(series)).toBe(true);
    expect(hasTimes({ step_s: 60, steps: [{ at: at(7), succeeded: 1, failed: 0, cancelled: 0 }] })).toBe(
      false,
    );
  });
});
