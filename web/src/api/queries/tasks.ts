// What the pages of tasks read and do. Keys are made here only.
import {
  keepPreviousData,
  type QueryClient,
  queryOptions,
  useInfiniteQuery,
  useMutation,
  useQuery,
} from "@tanstack/react-query";
import { api, ok } from "../client";
import { ApiError, apiError } from "../error";
import { all } from "./pages";
import type { Head, LogLine, Task, TaskFilter, TaskPage } from "./taskTypes";

export const taskKeys = {
  list: (groups: string[], filter: TaskFilter) => ["tasks", "list", groups, filter] as const,
  one: (id: string) => ["tasks", id] as const,
  parts: (id: string) => ["tasks", id, "parts"] as const,
  log: (id: string) => ["tasks", id, "log"] as const,
  timeline: (id: string) => ["tasks", id, "timeline"] as const,
  input: (id: string) => ["tasks", id, "input"] as const,
  result: (id: string) => ["tasks", id, "result"] as const,
  workers: (group: string) => ["tasks", "workers", group] as const,
  groups: ["tasks", "groups"] as const,
  members: (group: string) => ["tasks", "members", group] as const,
};

const pageSize = 200;
const farPageSize = 1000; // who has scrolled this far gets more at a time
const far = 5; // pages

/** A group's next tasks after those it gave before. */
async function refill(h: Head, filter: TaskFilter, limit: number, signal: AbortSignal): Promise<Head> {
  if (h.waiting.length > 0 || h.cursor === null) return h;
  const page = await ok(
    api.GET("/api/v1/groups/{id}/tasks", {
      params: { path: { id: h.group }, query: { ...filter, limit, ...(h.cursor && { cursor: h.cursor }) } },
      signal,
    }),
  );
  return { ...h, waiting: page.items, cursor: page.next_cursor };
}

/** One page of the tasks of some groups, newest first: their lists are merged as far as all of them are known. */
export async function mergedPage(
  heads: Head[],
  next: (h: Head) => Promise<Head>,
  size = pageSize,
): Promise<TaskPage> {
  const items: Task[] = [];
  let rows = heads;
  while (items.length < size) {
    rows = await Promise.all(rows.map(next));
    const queues = rows.map((h) => ({ head: h, at: 0 }));
    for (;;) {
      const dry = queues.some((q) => q.at >= q.head.waiting.length && q.head.cursor !== null);
      const newest = dry ? undefined : pick(queues);
      const task = newest?.head.waiting[newest.at];
      if (!newest || !task || items.length >= size) break;
      items.push(task);
      newest.at++;
    }
    rows = queues.map((q) => ({ ...q.head, waiting: q.head.waiting.slice(q.at) }));
    rows = rows.filter((h) => h.waiting.length > 0 || h.cursor !== null);
    if (rows.length === 0) return { items, next: null };
  }
  return { items, next: rows };
}

function pick(queues: { head: Head; at: number }[]) {
  let best: (typeof queues)[number] | undefined;
  for (const q of queues) {
    const id = q.head.waiting[q.at]?.id ?? "";
    if (id > (best?.head.waiting[best.at]?.id ?? "")) best = q;
  }
  return best;
}

/** The tasks of groups, page by page. */
export function useTaskPages(groups: string[], filter: TaskFilter) {
  const limit = groups.length > 1 ? 50 : pageSize;
  return useInfiniteQuery({
    queryKey: taskKeys.list(groups, filter),
    queryFn: ({ pageParam, signal, client, queryKey }) => {
      const read = client.getQueryData<{ pages: unknown[] }>(queryKey)?.pages.length ?? 0;
      const size = read < far ? pageSize : farPageSize;
      return mergedPage(pageParam, (h) => refill(h, filter, limit, signal), size);
    },
    initialPageParam: groups.map((group): Head => ({ group, waiting: [], cursor: undefined })),
    getNextPageParam: (last: TaskPage) => last.next ?? undefined,
    enabled: groups.length > 0,
    structuralSharing: false, // comparing 100,000 rows costs more than drawing the few that show
    staleTime: Number.POSITIVE_INFINITY, // it is patched live
    gcTime: 60_000,
    placeholderData: keepPreviousData,
  });
}

export const taskQuery = (id: string) =>
  queryOptions({
    queryKey: taskKeys.one(id),
    queryFn: ({ signal }) => ok(api.GET("/api/v1/tasks/{id}", { params: { path: { id } }, signal })),
    staleTime: Number.POSITIVE_INFINITY,
  });

export const partsQuery = (id: string) =>
  queryOptions({
    queryKey: taskKeys.parts(id),
    queryFn: async ({ signal }) => {
      const path = "/api/v1/tasks/{id}/children";
      const items = await all((cursor) =>
        ok(
          api.GET(path, {
            params: { path: { id }, query: { limit: pageSize, ...(cursor && { cursor }) } },
            signal,
          }),
        ),
      );
      const parts: Task[] = [];
      for (const t of items) if (t.index !== undefined) parts[t.index] = t;
      return parts;
    },
    structuralSharing: false,
    staleTime: Number.POSITIVE_INFINITY,
  });

export interface Log {
  lines: LogLine[];
  dropped: number;
}

export const logQuery = (id: string) =>
  queryOptions({
    queryKey: taskKeys.log(id),
    queryFn: async ({ signal }): Promise<Log> => {
      const options = { params: { path: { id }, query: { limit: 1000 } }, signal };
      const { items, dropped } = await ok(api.GET("/api/v1/tasks/{id}/logs", options));
      return { lines: items, dropped };
    },
    structuralSharing: false,
    staleTime: Number.POSITIVE_INFINITY,
  });

export const timelineQuery = (id: string) =>
  queryOptions({
    queryKey: taskKeys.timeline(id),
    queryFn: async ({ signal }) =>
      (await ok(api.GET("/api/v1/tasks/{id}/timeline", { params: { path: { id } }, signal }))).items,
  });

/** JSON as it came, with every digit, and parsed. */
export interface RawJson {
  text: string;
  value: unknown;
}

/** Cuts the member out of `{"name":…}` as the server wrote it. */
function member(name: string, body: string): RawJson {
  const text = body.trim();
  const begin = text.indexOf(":") + 1;
  const value = (JSON.parse(text) as Record<string, unknown>)[name];
  return { text: text.slice(begin, text.lastIndexOf("}")), value };
}

async function raw(
  name: string,
  answer: Promise<{ data?: string; error?: unknown; response: Response }>,
): Promise<RawJson> {
  return member(name, await ok(answer));
}

export const inputQuery = (id: string) =>
  queryOptions({
    queryKey: taskKeys.input(id),
    queryFn: ({ signal }) =>
      raw(
        "input",
        api.GET("/api/v1/tasks/{id}/input", { params: { path: { id } }, signal, parseAs: "text" }),
      ),
    staleTime: Number.POSITIVE_INFINITY,
    structuralSharing: false,
  });

export const resultQuery = (id: string) =>
  queryOptions({
    queryKey: taskKeys.result(id),
    queryFn: ({ signal }) =>
      raw(
        "output",
        api.GET("/api/v1/tasks/{id}/result", { params: { path: { id } }, signal, parseAs: "text" }),
      ),
    staleTime: Number.POSITIVE_INFINITY,
    structuralSharing: false,
  });

/** Groups of the user, by name. */
export function useMyGroups() {
  return useQuery({
    queryKey: taskKeys.groups,
    queryFn: async ({ signal }) => {
      const groups = await all((cursor) =>
        ok(
          api.GET("/api/v1/groups", { params: { query: { limit: 200, ...(cursor && { cursor }) } }, signal }),
        ),
      );
      return groups.sort((a, b) => a.name.localeCompare(b.name));
    },
  });
}

/** Workers that are connected to a group. */
export const workersQuery = (group: string) =>
  queryOptions({
    queryKey: taskKeys.workers(group),
    queryFn: ({ signal }) =>
      all((cursor) =>
        ok(
          api.GET("/api/v1/groups/{id}/workers", {
            params: { path: { id: group }, query: { limit: 200, ...(cursor && { cursor }) } },
            signal,
          }),
        ),
      ),
    enabled: group !== "",
  });

/** Sends a task, whose body is JSON text: its input keeps every digit. */
export function useSubmit(group: string) {
  return useMutation({
    mutationFn: (body: string): Promise<Task> =>
      ok(
        api.POST("/api/v1/groups/{id}/tasks", {
          params: { path: { id: group } },
          body: { kind: "" }, // typed; what is sent is the text
          bodySerializer: () => body,
        }),
      ),
  });
}

export type Action = "cancel" | "retry";

export const act = (action: Action, id: string): Promise<Task> => {
  const options = { params: { path: { id } } };
  return ok(
    action === "cancel"
      ? api.POST("/api/v1/tasks/{id}/cancel", options)
      : api.POST("/api/v1/tasks/{id}/retry", options),
  );
};

/** Cancels or retries a task. */
export function useAct(id: string) {
  return useMutation({ mutationFn: (action: Action) => act(action, id) });
}

/** Deletes input, result and log of an ended task. */
export function useDrop(id: string) {
  return useMutation({
    mutationFn: () => ok(api.DELETE("/api/v1/tasks/{id}/result", { params: { path: { id } } })),
  });
}

/** Cancels or retries all tasks of groups that match; `dry` only counts. */
export async function actOnAll(
  action: Action,
  groups: string[],
  filter: TaskFilter,
  dry: boolean,
): Promise<number> {
  const counts = await Promise.all(
    groups.map(async (id) => {
      const options = { params: { path: { id } }, body: { filter, dry_run: dry } };
      const answer =
        action === "cancel"
          ? api.POST("/api/v1/groups/{id}/tasks:cancel", options)
          : api.POST("/api/v1/groups/{id}/tasks:retry", options);
      return (await ok(answer)).count;
    }),
  );
  return counts.reduce((a, b) => a + b, 0);
}

export interface Outcome {
  done: number;
  /** What the others said no with, in words, and how often. */
  refused: Map<string, number>;
}

/** Acts on tasks one by one, a few at a time. */
export async function actOnEach(
  action: Action,
  ids: string[],
  progress: (done: number) => void,
): Promise<Outcome> {
  const outcome: Outcome = { done: 0, refused: new Map() };
  const waiting = [...ids];
  const line = async () => {
    for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
      try {
        await act(action, id);
        outcome.done++;
      } catch (e) {
        const why = e instanceof ApiError ? e.detail : String(e);
        outcome.refused.set(why, (outcome.refused.get(why) ?? 0) + 1);
      }
      progress(ids.length - waiting.length);
    }
  };
  await Promise.all(Array.from({ length: 6 }, line));
  return outcome;
}

/** Shows at once what an answer of the server says of a task. */
export function remember(client: QueryClient, task: Task): void {
  client.setQueryData(taskKeys.one(task.id), (old: Task | undefined) => ({
    ...task,
    children: task.children ?? old?.children,
  }));
}

export { apiError };
