// Sums by hour or day as points of a chart.
import type { DeviceSum, Span } from "../../api/queries/devices";
import { stepLabel, steps } from "../../ui/steps";

const hour = 3_600_000;
const width = { hour, day: 24 * hour } as const;

/** How far one can look back. */
export const spans = [
  { value: "24h", label: "Day", ms: 24 * hour, by: "hour" },
  { value: "7d", label: "Week", ms: 7 * 24 * hour, by: "hour" },
  { value: "30d", label: "Month", ms: 30 * 24 * hour, by: "day" },
  { value: "90d", label: "Quarter", ms: 90 * 24 * hour, by: "day" },
] as const;

export interface Point {
  at: string; // in words
  ok: number; // syncs without errors
  partial: number;
  failed: number; // and no files
  files: number;
  errors: number;
  half: number | null; // at most so fast was one half of them; null: nothing was reported
  most: number | null; // 95 %
}

const blank = { ok: 0, partial: 0, failed: 0, files: 0, errors: 0, half: null, most: null };

/** One point for each hour or day until now, also for those without events. */
export function points(sums: DeviceSum[], span: Span, now: number): Point[] {
  const known = new Map(sums.map((s) => [Date.parse(s.at), s]));
  const newest = Math.max(now, ...known.keys());
  return steps(now - span.ms, newest, width[span.by]).map((t) => {
    const s = known.get(t);
    return { at: stepLabel(t, width[span.by], span.ms), ...(s ? counted(s) : blank) };
  });
}

function counted(s: DeviceSum): Omit<Point, "at"> {
  return {
    ok: s.events - s.failed,
    partial: s.partial,
    failed: s.failed - s.partial,
    files: s.files,
    errors: s.errors,
    half: s.speed.p50,
    most: s.speed.p95,
  };
}

/** What the sums add up to. */
export function total(sums: DeviceSum[]) {
  const t = { events: 0, failed: 0, files: 0, errors: 0 };
  for (const s of sums) {
    t.events += s.events;
    t.failed += s.failed;
    t.files += s.files;
    t.errors += s.errors;
  }
  return t;
}
