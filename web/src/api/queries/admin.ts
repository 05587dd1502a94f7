import { useThrottledCallback } from "@mantine/hooks";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useRef } from "react";
import { useLive } from "../../live/live";
import { api, ok, type Schema } from "../client";
import { usePages } from "./pages";

export type Overview = Schema<"Overview">;
export type Account = Schema<"Account">;
export type AdminGroup = Schema<"AdminGroup">;
export type AdminWorker = Schema<"AdminWorker">;
export type Queue = Schema<"Queue">;
export type AuditEntry = Schema<"AuditEntry">;

export interface UserFilter {
  q?: string;
  disabled?: "true" | "false";
  admin?: "true" | "false";
}

export interface AuditFilter {
  actor?: string;
  action?: string;
  target?: string;
  group?: string;
  outcome?: string;
  from?: string;
  to?: string;
}

export const adminKeys = {
  all: ["admin"] as const,
  overview: ["admin", "overview"] as const,
  users: ["admin", "users"] as const,
  groups: ["admin", "groups"] as const,
  workers: ["admin", "workers"] as const,
  queues: ["admin", "queues"] as const,
  toEmpty: ["admin", "to empty"] as const,
  audits: ["admin", "audit"] as const,
  audit: (filter: AuditFilter) => ["admin", "audit", filter] as const,
};

export const useOverview = () =>
  useQuery({ queryKey: adminKeys.overview, queryFn: () => ok(api.GET("/api/v1/admin/overview")) });

export const useUsers = (filter: UserFilter) =>
  usePages([...adminKeys.users, filter], (cursor) =>
    ok(api.GET("/api/v1/admin/users", { params: { query: { cursor, ...filter } } })),
  );

export const useAllGroups = (q: string) =>
  usePages([...adminKeys.groups, q], (cursor) =>
    ok(api.GET("/api/v1/admin/groups", { params: { query: { cursor, ...(q && { q }) } } })),
  );

export const useAllWorkers = (q: string) =>
  usePages([...adminKeys.workers, q], (cursor) =>
    ok(api.GET("/api/v1/admin/workers", { params: { query: { cursor, ...(q && { q }) } } })),
  );

export const useQueues = () =>
  usePages(adminKeys.queues, (cursor) =>
    ok(api.GET("/api/v1/admin/queues", { params: { query: { cursor, limit: 100 } } })),
  );

export const useAudit = (filter: AuditFilter) =>
  usePages(adminKeys.audit(filter), (cursor) =>
    ok(api.GET("/api/v1/admin/audit", { params: { query: { cursor, limit: 50, ...filter } } })),
  );

type QueueName = Schema<"QueueName">;

/** How many tasks emptying the queue would cancel now. */
export const useToEmpty = (queue: QueueName) =>
  useQuery({
    queryKey: [...adminKeys.toEmpty, queue],
    queryFn: async () =>
      (await ok(api.POST("/api/v1/admin/queues:empty", { body: { ...queue, dry_run: true } }))).count,
    staleTime: 0,
  });

/** What administrators can do. */
export const adminActions = {
  update: (id: string, body: Schema<"UpdateUserRequestBody">) =>
    ok(api.PATCH("/api/v1/admin/users/{id}", { params: { path: { id } }, body })),
  disconnect: (id: string) =>
    ok(api.POST("/api/v1/admin/workers/{id}/disconnect", { params: { path: { id } } })),
  pause: (body: QueueName) => ok(api.POST("/api/v1/admin/queues:pause", { body })),
  resume: (body: QueueName) => ok(api.POST("/api/v1/admin/queues:resume", { body })),
  empty: (body: QueueName) =>
    ok(api.POST("/api/v1/admin/queues:empty", { body: { ...body, confirm: true } })),
  exportAudit: (filter: AuditFilter, signal: AbortSignal) =>
    ok(
      api.GET("/api/v1/admin/audit/export", { params: { query: { ...filter } }, parseAs: "stream", signal }),
    ),
};

/** Whether tasks waited elsewhere, or queues were paused, between two overviews. */
export const queuesDiffer = (a: Overview | undefined, b: Overview): boolean =>
  JSON.stringify([a?.tasks, a?.queues]) !== JSON.stringify([b.tasks, b.queues]);

const readEvery = 2000; // ms, as the server tells the overview

/** Which lists show something else after what an entry of the audit log tells of. */
export function listsAfter(e: AuditEntry): (readonly string[])[] {
  const lists: (readonly string[])[] = [adminKeys.audits];
  if (e.outcome !== "ok") return lists;
  if (e.target_type === "user" || e.target_type === "group") lists.push(adminKeys.users, adminKeys.groups);
  return lists;
}

/** Keeps what administrators see as it is: the overview comes, the lists are read again where it or the audit log says so. */
export function useLiveAdmin(): void {
  const queries = useQueryClient();
  const read = (key: readonly unknown[]) => void queries.invalidateQueries({ queryKey: key });
  const changed = useRef(new Set<readonly string[]>());
  const readChanged = useThrottledCallback(() => {
    for (const key of changed.current) read(key);
    changed.current.clear();
  }, readEvery);
  const workers = useThrottledCallback(() => read(adminKeys.workers), readEvery);
  useLive(
    "admin",
    (event) => {
      if (event.type === "worker") workers();
      if (event.type === "audit") {
        for (const key of listsAfter(event.audit as AuditEntry)) changed.current.add(key);
        readChanged();
      }
      if (event.type !== "stats") return;
      const now = event.stats as Overview;
      const before = queries.getQueryData<Overview>(adminKeys.overview);
      queries.setQueryData(adminKeys.overview, now);
      if (queuesDiffer(before, now)) {
        read(adminKeys.queues);
        read(adminKeys.groups);
        workers();
      }
    },
    adminKeys.all,
  );
}
