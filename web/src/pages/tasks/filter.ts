// What the list shows, kept in the address so that it can be shared and gone back to.
import { type Status, statuses, type Task, type TaskFilter } from "../../api/queries/taskTypes";

/** Periods to look back, in milliseconds. */
export const periods: Record<string, number> = { "1h": 3_600_000, "24h": 86_400_000, "7d": 604_800_000 };

export type Filter = {
  status?: Status;
  kind?: string;
  q?: string;
  worker?: string;
  /** Only what I submitted. */
  mine?: boolean;
  /** One of `periods`. */
  since?: string;
};

/** Reads a filter; what makes no sense is left out. */
export function filterFrom(params: URLSearchParams): Filter {
  const text = (name: string, max: number) => params.get(name)?.slice(0, max) || undefined;
  const status = statuses.find((s) => s === params.get("status"));
  const since = params.get("since") ?? "";
  return {
    status,
    kind: text("kind", 64),
    q: text("q", 200),
    worker: text("worker", 64),
    mine: params.get("mine") === "1" || undefined,
    since: since in periods ? since : undefined,
  };
}

/** The filter as the API takes it. */
export function apiFilter(f: Filter, me: string, now: number): TaskFilter {
  return {
    ...(f.status && { status: f.status }),
    ...(f.kind && { kind: f.kind }),
    ...(f.q && { q: f.q }),
    ...(f.worker && { worker: f.worker }),
    ...(f.mine && { member: me }),
    ...(f.since && { created_after: new Date(now - periods[f.since]).toISOString() }),
  };
}

const words = (s: string) =>
  s
    .normalize("NFC")
    .toLowerCase()
    .split(/[^\p{L}\p{N}\p{M}]+/u)
    .filter(Boolean);

/** Whether the server would list the task: the same rules as there, for tasks that arrive live. */
export function matcher(f: TaskFilter, groups: ReadonlySet<string>): (t: Task) => boolean {
  const wanted = words(f.q ?? "");
  const after = f.created_after ? Date.parse(f.created_after) : 0;
  return (t) =>
    groups.has(t.group_id) &&
    (f.worker ? t.worker?.id === f.worker : !t.parent) &&
    (!f.status || t.status === f.status) &&
    (!f.kind || t.kind === f.kind) &&
    (!f.member || t.created_by === f.member) &&
    Date.parse(t.created_at) > after &&
    (wanted.length === 0 || t.id === f.q?.trim() || titled(t.title, wanted));
}

function titled(title: string | undefined, wanted: string[]): boolean {
  const has = words(title ?? "");
  return wanted.every((w) => has.some((h) => h.startsWith(w)));
}
