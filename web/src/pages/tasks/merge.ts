// How live events become part of what was read over HTTP. Nothing here depends
// on the order in which the two arrive: of two views of a task the newer wins.
import type { InfiniteData } from "@tanstack/react-query";
import type { LogLine, Progress, Task, TaskPage } from "../../api/queries/taskTypes";

const rank = { scheduled: 0, queued: 0, running: 1, succeeded: 2, failed: 2, cancelled: 2 };
const phases = { splitting: 0, open: 1, reducing: 2 };

/** How far a task has come, for comparing two views of it: each transition raises it. */
function compare(a: Task, b: Task): number {
  return (
    a.attempt - b.attempt ||
    Date.parse(a.run_at) - Date.parse(b.run_at) ||
    rank[a.status] - rank[b.status] ||
    (a.phase && b.phase ? phases[a.phase] - phases[b.phase] : 0) ||
    Number(Boolean(a.dropped_at)) - Number(Boolean(b.dropped_at))
  );
}

/** The newer of two views of one task; `incoming` where neither is. Counts of parts, which events lack, are kept. */
export function newest(old: Task | undefined, incoming: Task): Task {
  if (!old) return incoming;
  if (compare(incoming, old) < 0) return old;
  return incoming.children || !old.children ? incoming : { ...incoming, children: old.children };
}

/** A task with how far its attempt is; the task itself where the event is of another attempt. */
export function withProgress(task: Task, p: Progress): Task {
  if (task.id !== p.task_id || task.attempt !== p.attempt || task.status !== "running") return task;
  return { ...task, progress: { percent: p.percent, message: p.message } };
}

/** What arrived between two frames: of each task the newest view and progress. */
export class Batch {
  readonly tasks = new Map<string, Task>();
  readonly progress = new Map<string, Progress>();
  readonly lines: LogLine[] = [];

  task(t: Task) {
    this.tasks.set(t.id, newest(this.tasks.get(t.id), t));
  }

  progressOf(p: Progress) {
    const old = this.progress.get(p.task_id);
    if (!old || old.attempt <= p.attempt) this.progress.set(p.task_id, p);
  }

  get empty() {
    return this.tasks.size === 0 && this.progress.size === 0 && this.lines.length === 0;
  }

  /** The task as this batch leaves it. */
  patch(old: Task): Task {
    const t = this.tasks.get(old.id);
    const p = this.progress.get(old.id);
    const now = t ? newest(old, t) : old;
    return p ? withProgress(now, p) : now;
  }

  /** Takes over what another batch knows. */
  add(other: Batch) {
    for (const t of other.tasks.values()) this.task(t);
    for (const p of other.progress.values()) this.progressOf(p);
    this.lines.push(...other.lines);
  }
}

/** Pages of tasks, newest first. */
export type Pages = InfiniteData<TaskPage, unknown>;

const descending = (a: Task, b: Task) => (a.id < b.id ? 1 : a.id > b.id ? -1 : 0);

/**
 * Patches pages with a batch: tasks that are there change in place, those that
 * no longer match leave, those that match and are not there come in at their
 * place by id, unless it is below the last loaded page. Pages and rows that do
 * not change stay the same objects. `hold` keeps rows that no longer match, for
 * whoever is reading them.
 */
export function applyToPages(data: Pages, batch: Batch, matches: (t: Task) => boolean, hold = false): Pages {
  const known = new Set<string>();
  let changed = false;
  const pages = data.pages.map((page) => {
    let touched = false;
    const items: Task[] = [];
    for (const old of page.items) {
      const now = batch.tasks.has(old.id) || batch.progress.has(old.id) ? batch.patch(old) : old;
      if (batch.tasks.has(old.id)) known.add(old.id);
      if (now !== old) touched = true;
      if (now === old || hold || matches(now)) items.push(now);
    }
    if (!touched) return page;
    changed = true;
    return { ...page, items };
  });
  const end = pages.at(-1);
  if (end?.next?.some((h) => h.waiting.some((t) => batch.tasks.has(t.id)))) {
    const next = end.next.map((h) => ({
      ...h,
      waiting: h.waiting.map((t) => batch.patch(t)).filter(matches),
    }));
    pages[pages.length - 1] = { ...end, next };
    for (const h of next) for (const t of h.waiting) known.add(t.id);
    changed = true;
  }
  const fresh = [...batch.tasks.values()].filter((t) => !known.has(t.id) && matches(t)).sort(descending);
  if (fresh.length > 0 && insert(pages, fresh)) changed = true;
  return changed ? { ...data, pages } : data;
}

/** Inserts tasks, sorted newest first, into pages, which it replaces where they change. */
function insert(pages: TaskPage[], fresh: Task[]): boolean {
  let next = 0;
  for (let i = 0; i < pages.length && next < fresh.length; i++) {
    const page = pages[i];
    if (!page) break;
    const open = i === pages.length - 1 && page.next === null; // its end is the list's end
    const last = page.items.at(-1)?.id ?? "";
    const mine: Task[] = [];
    while (next < fresh.length && (open || (page.items.length > 0 && fresh[next].id > last)))
      mine.push(fresh[next++]);
    if (mine.length > 0) pages[i] = { ...page, items: merge(mine, page.items) };
  }
  return next > 0;
}

function merge(a: Task[], b: Task[]): Task[] {
  const above = a.at(-1)?.id ?? "";
  const all = a.concat(b);
  return above > (b[0]?.id ?? "") ? all : all.sort(descending); // mostly all are new
}

/** Parts by index, patched with a batch; parts that are new come in. */
export function applyToParts(parts: Task[], batch: Batch, parent: string): Task[] {
  let changed = false;
  const out = parts.slice();
  for (const [id, t] of batch.tasks) {
    if (t.parent !== parent || t.index === undefined) continue;
    const old = out[t.index];
    if (old && old.id !== id) continue;
    const now = newest(old, t);
    if (now === old) continue;
    out[t.index] = now;
    changed = true;
  }
  if (batch.progress.size > 0) {
    out.forEach((t, i) => {
      const p = t && batch.progress.get(t.id);
      const now = p ? withProgress(t, p) : t;
      if (now !== t) {
        out[i] = now;
        changed = true;
      }
    });
  }
  return changed ? out : parts;
}

/** Log lines with more of them, each once, in order; of more than `most` the oldest go. */
export function applyToLog(lines: LogLine[], more: LogLine[], most: number): LogLine[] {
  const last = lines.at(-1)?.seq ?? 0;
  const fresh = more.filter((l) => l.seq > last).sort((a, b) => a.seq - b.seq);
  const once = fresh.filter((l, i) => l.seq !== fresh[i - 1]?.seq);
  return once.length === 0 ? lines : lines.concat(once).slice(-most);
}

/** How many rows stand above the newest one that has been seen. */
export function unseen(rows: Task[], seen: string | undefined): number {
  if (!seen) return 0;
  const i = rows.findIndex((t) => t.id <= seen);
  return i < 0 ? rows.length : i;
}
