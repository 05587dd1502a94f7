import { expect, it } from "vitest";
import { type AuditEntry, listsAfter, type Overview, queuesDiffer } from "../../api/queries/admin";
import { auditFilter } from "./Audit";

const at = "2026-01-01T00:00:00.000Z";

it("reads the audit log's filter from the address", () => {
  const params = new URLSearchParams({ actor: "ada", outcome: "refused", from: at, to: "soon", other: "x" });
  expect(auditFilter(params)).toEqual({ actor: "ada", outcome: "refused", from: at });
});

it("reads again what an entry of the audit log changed", () => {
  const entry = { action: "update-user", target_type: "user", outcome: "ok" } as AuditEntry;
  const of = (e: Partial<AuditEntry>) => listsAfter({ ...entry, ...e }).map((key) => key[1]);
  expect(of({})).toEqual(["audit", "users", "groups"]);
  expect(of({ target_type: "group" })).toEqual(["audit", "users", "groups"]);
  expect(of({ target_type: "token" })).toEqual(["audit"]);
  expect(of({ outcome: "bad_credentials" })).toEqual(["audit"]);
});

it("reads the queues again when something waits or is paused, not for a sign of life", () => {
  const before: Overview = {
    users: 1,
    groups: 1,
    workers: { connected: 1, grace: 0, slots: 2, running: 0 },
    servers: [{ id: "s", address: "a", started_at: at, last_beat_at: at }],
    tasks: { scheduled: 0, queued: 1, running: 0 },
    rates: { succeeded: 0, failed: 0, cancelled: 0 },
    minutes: [],
    failovers_24h: 0,
    queues: [
      { group: { id: "g", name: "G" }, kind: "k", waiting: 1, scheduled: 0, oldest_at: at, paused: false },
    ],
  };
  expect(queuesDiffer(undefined, before)).toBe(true);
  expect(queuesDiffer(before, { ...before, servers: [], failovers_24h: 1 })).toBe(false);
  expect(queuesDiffer(before, { ...before, tasks: { ...before.tasks, queued: 2 } })).toBe(true);
  expect(
    queuesDiffer(before, { ...before, queues: before.queues.map((q) => ({ ...q, paused: true })) }),
  ).toBe(true);
});
