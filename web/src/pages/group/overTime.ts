import type { Stats } from "../../api/queries/groups";
import { stepLabel, steps } from "../../ui/steps";

/** A step of a group's statistics; null: there is nothing to tell. */
export interface Point {
  at: string; // in words
  rate: number | null; // the share that succeeded of what ran to its end
  Waiting: number | null; // ms, half of them at most
  Running: number | null;
}

/** One point for each step of the last hours, also for those in which nothing ended. */
export function overTime(series: Stats["series"], hours: number, now: number): Point[] {
  const width = series.step_s * 1000;
  const span = hours * 3_600_000;
  const known = new Map(series.steps.map((p) => [Date.parse(p.at), p]));
  return steps(now - span, Math.max(now, ...known.keys()), width).map((t) => {
    const p = known.get(t);
    const ran = p ? p.succeeded + p.failed : 0;
    return {
      at: stepLabel(t, width, span),
      rate: p && ran > 0 ? p.succeeded / ran : null,
      Waiting: p?.wait_ms?.p50 || null,
      Running: p?.run_ms?.p50 || null,
    };
  });
}

/** Whether the steps tell of times: minutes do not. */
export const hasTimes = (series: Stats["series"]): boolean => series.steps.some((p) => p.run_ms);
