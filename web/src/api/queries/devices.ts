import { useThrottledCallback } from "@mantine/hooks";
import { type QueryClient, useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useRef } from "react";
import { useLive } from "../../live/live";
import { api, ok, type Schema } from "../client";
import { groupKeys } from "./groups";
import { type Pages, usePages } from "./pages";

export type Device = Schema<"Device">;
export type DeviceState = Device["state"];
export type SyncEvent = Schema<"SyncEvent">;
export type DeviceSum = Schema<"DeviceSum">;
export type FailingDevice = Schema<"FailingDevice">;
export type Alert = Schema<"Alert">;
export type Rules = Schema<"ShownRules">;

/** Which devices a list has. */
export interface DeviceFilter {
  state: DeviceState;
  q: string; // any part of the id, the name or a tag
  tag: string; // a whole one
  status: DeviceStatus | ""; // "": any
}

export const deviceStatuses = ["failing", "silent", "failed", "ok"] as const;
export type DeviceStatus = (typeof deviceStatuses)[number];

const fold = (s: string) => s.normalize("NFC").toLowerCase();

/** Whether a list has a device, by the same rules as the server. */
export function belongs(d: Device, f: DeviceFilter): boolean {
  const [q, tag] = [fold(f.q), fold(f.tag)];
  const does = f.status === "failing" || f.status === "silent" ? d[f.status] : d.status === f.status;
  return (
    d.state === f.state &&
    [d.device_id, d.name, ...d.tags].some((text) => fold(text).includes(q)) &&
    (tag === "" || d.tags.some((t) => fold(t) === tag)) &&
    (f.status === "" || does)
  );
}

/** Which events of a device. */
export interface EventFilter {
  status?: SyncEvent["status"];
  from?: string;
  to?: string;
}

/** So much time back from now, in sums. */
export interface Span {
  ms: number;
  by: "hour" | "day";
}

export interface FailuresFilter {
  mode: "total" | "consecutive";
  threshold: number;
  window: string; // such as 24h or 7d
}

export const deviceKeys = {
  all: (group: string) => ["devices", group] as const,
  lists: (group: string) => ["devices", group, "list"] as const,
  list: (group: string, filter: DeviceFilter) => ["devices", group, "list", filter] as const,
  one: (group: string, id: string) => ["devices", group, "one", id] as const,
  derived: (group: string) => ["devices", group, "derived"] as const, // what follows from events
  history: (group: string, id: string, f: EventFilter) => ["devices", group, "derived", id, f] as const,
  sums: (group: string, id: string, span: Span) => ["devices", group, "derived", "sums", id, span] as const,
  failures: (group: string, f: FailuresFilter) => ["devices", group, "derived", "failures", f] as const,
  alerts: (group: string) => ["devices", group, "alerts"] as const,
  alertList: (group: string, open: boolean) => ["devices", group, "alerts", open] as const,
  rules: (group: string) => ["devices", group, "rules"] as const,
};

const of = (group: string, id: string) => ({ path: { id }, query: { group } });

export const useDevices = (group: string, filter: DeviceFilter) =>
  usePages(
    deviceKeys.list(group, filter),
    (cursor) => {
      const { state, q, tag, status } = filter;
      const more = { ...(q && { q }), ...(tag && { tag }), ...(status && { status }) };
      const query = { group, cursor, limit: 200, state: [state], ...more };
      return ok(api.GET("/api/v1/devices", { params: { query } }));
    },
    { gcTime: 0 }, // of a large fleet there are hundreds of pages: who comes back begins anew
  );

export const useDevice = (group: string, id: string) =>
  useQuery({
    queryKey: deviceKeys.one(group, id),
    queryFn: () => ok(api.GET("/api/v1/devices/{id}", { params: of(group, id) })),
  });

export const useHistory = (group: string, id: string, filter: EventFilter) =>
  usePages(deviceKeys.history(group, id, filter), (cursor) =>
    ok(
      api.GET("/api/sync-event/device/{id}/sync-history", {
        params: { path: { id }, query: { group, cursor, limit: 50, ...filter } },
      }),
    ),
  );

/** Sums of a device, or with the id "" of all devices of the group. */
export const useSums = (group: string, id: string, span: Span) =>
  useQuery({
    queryKey: deviceKeys.sums(group, id, span),
    queryFn: async () => {
      const query = { by: span.by, from: new Date(Date.now() - span.ms).toISOString() };
      const answer =
        id === ""
          ? api.GET("/api/v1/groups/{id}/device-stats", { params: { path: { id: group }, query } })
          : api.GET("/api/v1/devices/{id}/stats", { params: { path: { id }, query: { group, ...query } } });
      return (await ok(answer)).items;
    },
  });

export const useFailures = (group: string, filter: FailuresFilter) =>
  useQuery({
    queryKey: deviceKeys.failures(group, filter),
    queryFn: async () => {
      const query = { group, limit: 200, ...filter };
      return (await ok(api.GET("/api/sync-event/devices/repeated-failures", { params: { query } }))).items;
    },
  });

export const useAlerts = (group: string, open: boolean) =>
  usePages(deviceKeys.alertList(group, open), (cursor) =>
    ok(api.GET("/api/v1/groups/{id}/alerts", { params: { path: { id: group }, query: { open, cursor } } })),
  );

export const useRules = (group: string) =>
  useQuery({
    queryKey: deviceKeys.rules(group),
    queryFn: () => ok(api.GET("/api/v1/groups/{id}/alert-rules", { params: { path: { id: group } } })),
  });

/** What can be done to devices. */
export const deviceActions = {
  update: (d: { group: string; device_id: string }, body: Schema<"UpdateDeviceRequestBody">) =>
    ok(api.PATCH("/api/v1/devices/{id}", { params: of(d.group, d.device_id), body })),
  setRules: (group: string, body: Schema<"AlertRules">) =>
    ok(api.PUT("/api/v1/groups/{id}/alert-rules", { params: { path: { id: group } }, body })),
  exportDevice: (group: string, id: string, range: { from?: string; to?: string }, signal: AbortSignal) =>
    ok(
      api.GET("/api/v1/devices/{id}/export", {
        params: { path: { id }, query: { group, ...range } },
        parseAs: "stream",
        signal,
      }),
    ),
  exportGroup: (group: string, signal: AbortSignal) =>
    ok(
      api.GET("/api/v1/groups/{id}/sync-events/export", {
        params: { path: { id: group } },
        parseAs: "stream",
        signal,
      }),
    ),
};

type DevicePages = Pages<Device>;

/**
 * A list with devices as they are now: each in its place, and those that are new to it
 * where their id belongs, as far as the list was read. Those that do not belong leave.
 */
export function withDevices(
  data: DevicePages,
  news: ReadonlyMap<string, Device>,
  belongs: (d: Device) => boolean,
): DevicePages {
  const left = new Map(news);
  const pages = data.pages.map((p) => ({
    ...p,
    items: p.items.flatMap((old) => {
      const now = left.get(old.device_id);
      if (!now) return [old];
      left.delete(old.device_id);
      return belongs(now) ? [now] : [];
    }),
  }));
  for (const d of left.values()) {
    if (!belongs(d)) continue;
    const page = pages.find((p) => p.next_cursor === null || (p.items.at(-1)?.device_id ?? "") > d.device_id);
    const next = page?.items.findIndex((o) => o.device_id > d.device_id) ?? -1;
    page?.items.splice(next < 0 ? page.items.length : next, 0, d);
  }
  return { ...data, pages };
}

/** Alerts with one that opened or recovered: in its place, or in front. */
export function withAlert(data: Pages<Alert>, alert: Alert, onlyOpen: boolean): Pages<Alert> {
  const belongs = !onlyOpen || alert.recovered_at === null;
  const known = data.pages.some((p) => p.items.some((a) => a.id === alert.id));
  const pages = data.pages.map((p, i) => ({
    ...p,
    items:
      known || i > 0
        ? p.items.flatMap((a) => (a.id !== alert.id ? [a] : belongs ? [alert] : []))
        : [...(belongs ? [alert] : []), ...p.items],
  }));
  return { ...data, pages };
}

/** Shows devices of a group as they are now, wherever they are shown. */
function show(queries: QueryClient, group: string, news: ReadonlyMap<string, Device>): void {
  for (const [id, d] of news)
    queries.setQueryData<Device>(deviceKeys.one(group, id), (old) => (old ? d : undefined));
  for (const [key, data] of queries.getQueriesData<DevicePages>({ queryKey: deviceKeys.lists(group) })) {
    const wanted = (d: Device) => belongs(d, key[3] as DeviceFilter);
    if (data) queries.setQueryData<DevicePages>(key, withDevices(data, news, wanted));
  }
}

/** Changes a device, and shows it as the server answers. */
export function useUpdateDevice() {
  const queries = useQueryClient();
  return useCallback(
    async (d: Device, body: Schema<"UpdateDeviceRequestBody">): Promise<void> => {
      const now = await deviceActions.update(d, body);
      show(queries, d.group, new Map([[now.device_id, now]]));
      void queries.invalidateQueries({ queryKey: deviceKeys.derived(d.group) });
    },
    [queries],
  );
}

const drawEvery = 250; // ms
const readEvery = 2000; // ms between two readings of what follows from events

/** Keeps what is shown of a group's devices as it is. */
export function useLiveDevices(group: string): void {
  const queries = useQueryClient();
  const waiting = useRef(new Map<string, Device>());
  const draw = useThrottledCallback(() => {
    const news = waiting.current;
    waiting.current = new Map();
    show(queries, group, news);
  }, drawEvery);
  const readAgain = useThrottledCallback(
    () => void queries.invalidateQueries({ queryKey: deviceKeys.derived(group) }),
    readEvery,
  );
  const readPending = useThrottledCallback(
    () =>
      void queries.invalidateQueries({
        queryKey: deviceKeys.lists(group),
        predicate: ({ queryKey }) => (queryKey[3] as DeviceFilter).state === "pending",
      }),
    readEvery,
  );
  useLive(
    `device:${group}`,
    (event) => {
      if (event.type === "unsubscribed") void queries.invalidateQueries({ queryKey: groupKeys.all });
      if (event.type === "pending") readPending();
      if (event.type === "alert") takeAlert(queries, group, event.alert as Alert);
      if (event.type !== "device") return;
      const d = event.device as Device;
      waiting.current.set(d.device_id, d);
      draw();
      readAgain();
    },
    deviceKeys.all(group),
  );
}

function takeAlert(queries: QueryClient, group: string, alert: Alert): void {
  for (const [key, data] of queries.getQueriesData<Pages<Alert>>({ queryKey: deviceKeys.alerts(group) }))
    if (data) queries.setQueryData<Pages<Alert>>(key, withAlert(data, alert, key[3] === true));
  const flag = { [alert.type]: alert.recovered_at === null };
  const lists = queries.getQueriesData<DevicePages>({ queryKey: deviceKeys.lists(group) });
  const known = [
    queries.getQueryData<Device>(deviceKeys.one(group, alert.device_id)),
    ...lists.flatMap(([, data]) => data?.pages.flatMap((p) => p.items) ?? []),
  ].find((d) => d?.device_id === alert.device_id);
  if (known) show(queries, group, new Map([[alert.device_id, { ...known, ...flag }]]));
}
