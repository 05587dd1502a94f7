import type { ChildCounts, Task } from "../../api/queries/taskTypes";

/** Counts parts by status, as the server does: scheduled ones count as queued. */
export function tally(parts: Task[]): ChildCounts {
  const n = { total: 0, queued: 0, running: 0, succeeded: 0, failed: 0, cancelled: 0 };
  for (const t of parts) {
    if (!t) continue;
    n.total++;
    n[t.status === "scheduled" ? "queued" : t.status]++;
  }
  return n;
}
