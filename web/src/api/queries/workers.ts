import { useThrottledCallback } from "@mantine/hooks";
import { queryOptions, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect } from "react";
import { live } from "../../live/live";
import { api, ok, type Schema } from "../client";
import { useGroups } from "./groups";
import { all } from "./pages";

export type OwnWorker = Schema<"OwnWorker">;
export type WorkerSettings = Schema<"WorkerSettings">;

export const workerKeys = {
  all: ["workers"] as const,
  list: ["workers", "list"] as const,
  one: (id: string) => ["workers", "one", id] as const,
  history: (id: string) => ["workers", "history", id] as const,
};

export const ownWorkersQuery = queryOptions({
  queryKey: workerKeys.list,
  queryFn: () =>
    all((cursor) => ok(api.GET("/api/v1/workers", { params: { query: { limit: 200, cursor } } }))),
});

export const useOwnWorkers = () => useQuery(ownWorkersQuery);

export const useOwnWorker = (id: string) =>
  useQuery({
    queryKey: workerKeys.one(id),
    queryFn: () => ok(api.GET("/api/v1/workers/{id}", { params: { path: { id } } })),
  });

export const useWorkerHistory = (id: string, days: number) =>
  useQuery({
    queryKey: [...workerKeys.history(id), days],
    queryFn: () => ok(api.GET("/api/v1/workers/{id}/history", { params: { path: { id }, query: { days } } })),
  });

const readEvery = 500; // ms: one reading for all groups that are heard at once

/** Keeps the user's workers as they are: a worker that comes, leaves or changes is told in its groups. */
export function useLiveWorkers(): void {
  const queries = useQueryClient();
  const groups = useGroups().data;
  const again = useThrottledCallback(
    () => void queries.invalidateQueries({ queryKey: workerKeys.all }),
    readEvery,
  );
  const ids = groups?.map((g) => g.id).join(" ") ?? "";
  useEffect(() => {
    if (ids === "") return;
    const ends = ids.split(" ").map((id) =>
      live.subscribe(`group:${id}`, (e) => {
        if (e.type === "worker" || e.type === "resync" || e.type === "subscribed") again();
      }),
    );
    return () => {
      for (const end of ends) end();
    };
  }, [ids, again]);
}

export const workerActions = {
  update: (id: string, body: Schema<"UpdateOwnWorkerRequestBody">) =>
    ok(api.PATCH("/api/v1/workers/{id}", { params: { path: { id } }, body })),
  forget: (id: string) => ok(api.DELETE("/api/v1/workers/{id}", { params: { path: { id } } })),
};
