import {
  queryOptions,
  type UseQueryResult,
  useMutation,
  useQuery,
  useQueryClient,
} from "@tanstack/react-query";
import { useLive } from "../../live/live";
import { api, ok, type Schema } from "../client";
import { all } from "./pages";

export type Group = Schema<"Group">;
export type Role = Group["role"];
export type Member = Schema<"GroupMember">;
export type GroupWorker = Schema<"Worker">;
export type Stats = Schema<"Stats">;
export type Window = Stats["window"];
export type InviteLink = Schema<"InviteLink">;
export type Invitation = Schema<"Invitation">;

/** Keys of everything that is read of groups. */
export const groupKeys = {
  all: ["groups"] as const,
  list: ["groups", "list"] as const,
  one: (id: string) => ["groups", "one", id] as const,
  detail: (id: string) => ["groups", "one", id, "group"] as const,
  members: (id: string) => ["groups", "one", id, "members"] as const,
  workers: (id: string) => ["groups", "one", id, "workers"] as const,
  /** The group itself, and what is read of its people. */
  people: (id: string) =>
    ["group", "members", "invitations", "links"].map((what) => ["groups", "one", id, what] as const),
  stats: (id: string, window: Window) => ["groups", "one", id, "stats", window] as const,
  invitations: (id: string) => ["groups", "one", id, "invitations"] as const,
  links: (id: string) => ["groups", "one", id, "links"] as const,
  mine: ["invitations"] as const, // invitations to the user
};

const at = (id: string) => ({ params: { path: { id } } });
const page = (id: string, cursor?: string) => ({ params: { path: { id }, query: { limit: 200, cursor } } });

/** The groups of the user: those with a star first, then by name. */
export function useGroups(): UseQueryResult<Group[]> {
  return useQuery({
    queryKey: groupKeys.list,
    queryFn: () =>
      all((cursor) => ok(api.GET("/api/v1/groups", { params: { query: { limit: 200, cursor } } }))),
    select: inOrder,
  });
}

/** Stars first, then by name. */
export function inOrder(groups: Group[]): Group[] {
  return [...groups].sort(
    (a, b) =>
      Number(b.starred) - Number(a.starred) || a.name.localeCompare(b.name) || a.id.localeCompare(b.id),
  );
}

export const groupQuery = (id: string) =>
  queryOptions({ queryKey: groupKeys.detail(id), queryFn: () => ok(api.GET("/api/v1/groups/{id}", at(id))) });

export const useGroup = (id: string) => useQuery(groupQuery(id));

export const useMembers = (id: string) =>
  useQuery({
    queryKey: groupKeys.members(id),
    queryFn: () => all((c) => ok(api.GET("/api/v1/groups/{id}/members", page(id, c)))),
  });

export const useGroupWorkers = (id: string) =>
  useQuery({
    queryKey: groupKeys.workers(id),
    queryFn: () => all((c) => ok(api.GET("/api/v1/groups/{id}/workers", page(id, c)))),
  });

export const useStats = (id: string, window: Window) =>
  useQuery({
    queryKey: groupKeys.stats(id, window),
    queryFn: () => ok(api.GET("/api/v1/groups/{id}/stats", { params: { path: { id }, query: { window } } })),
  });

export const useGroupInvitations = (id: string) =>
  useQuery({
    queryKey: groupKeys.invitations(id),
    queryFn: () => all((c) => ok(api.GET("/api/v1/groups/{id}/invitations", page(id, c)))),
  });

export const useInviteLinks = (id: string) =>
  useQuery({
    queryKey: groupKeys.links(id),
    queryFn: () => all((c) => ok(api.GET("/api/v1/groups/{id}/invite-links", page(id, c)))),
  });

export const useInvitations = () =>
  useQuery({
    queryKey: groupKeys.mine,
    queryFn: () =>
      all((cursor) => ok(api.GET("/api/v1/invitations", { params: { query: { limit: 200, cursor } } }))),
  });

/**
 * Keeps what is shown of a group as it is: it, its people and workers are read again when they change,
 * the statistics of the last 24 hours come as they are, the other windows are read again then.
 */
export function useLiveGroup(id: string | null): void {
  const queries = useQueryClient();
  useLive(
    id === null ? null : `group:${id}`,
    (event) => {
      if (id === null) return;
      if (event.type === "worker") void queries.invalidateQueries({ queryKey: groupKeys.workers(id) });
      if (event.type === "group")
        for (const queryKey of [groupKeys.list, ...groupKeys.people(id)])
          void queries.invalidateQueries({ queryKey });
      if (event.type === "unsubscribed") void queries.invalidateQueries({ queryKey: groupKeys.all });
      if (event.type !== "stats") return;
      queries.setQueryData(groupKeys.stats(id, "24h"), event.stats as Stats);
      for (const w of ["1h", "7d"] as const)
        void queries.invalidateQueries({ queryKey: groupKeys.stats(id, w) });
    },
    id === null ? groupKeys.list : groupKeys.one(id),
  );
}

/** Runs a change, then reads what it touched again. */
export function useChange<In, Out>(run: (input: In) => Promise<Out>, ...keys: (readonly unknown[])[]) {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: run,
    onSettled: () => Promise.all(keys.map((queryKey) => queries.invalidateQueries({ queryKey }))),
  });
}

export const useCreateGroup = () =>
  useChange(
    (body: Schema<"CreateGroupRequestBody">) => ok(api.POST("/api/v1/groups", { body })),
    groupKeys.list,
  );

/** Marks a group or takes the mark away, at once in the list. */
export function useStar() {
  const queries = useQueryClient();
  return useMutation({
    mutationFn: async ({ id, starred }: { id: string; starred: boolean }) => {
      await (starred
        ? ok(api.PUT("/api/v1/groups/{id}/star", at(id)))
        : ok(api.DELETE("/api/v1/groups/{id}/star", at(id))));
    },
    onMutate: ({ id, starred }) => {
      const mark = (g: Group): Group => (g.id === id ? { ...g, starred } : g);
      queries.setQueryData<Group[]>(groupKeys.list, (list) => list?.map(mark));
      queries.setQueryData<Group>(groupKeys.detail(id), (g) => g && mark(g));
    },
    onError: () => queries.invalidateQueries({ queryKey: groupKeys.all }),
  });
}

/** What can be done to a group and its people. */
export const groupActions = {
  update: (id: string, body: Schema<"UpdateGroupRequestBody">) =>
    ok(api.PATCH("/api/v1/groups/{id}", { ...at(id), body })),
  remove: (id: string) => ok(api.DELETE("/api/v1/groups/{id}", at(id))),
  leave: (id: string) => ok(api.POST("/api/v1/groups/{id}/leave", at(id))),
  setRole: (id: string, user: string, role: Role) =>
    ok(api.PATCH("/api/v1/groups/{id}/members/{user}", { params: { path: { id, user } }, body: { role } })),
  kick: (id: string, user: string) =>
    ok(api.DELETE("/api/v1/groups/{id}/members/{user}", { params: { path: { id, user } } })),
  invite: (id: string, username: string) =>
    ok(api.POST("/api/v1/groups/{id}/invitations", { ...at(id), body: { username } })),
  withdraw: (id: string, invitation: string) =>
    ok(api.DELETE("/api/v1/groups/{id}/invitations/{invitation}", { params: { path: { id, invitation } } })),
  makeLink: (id: string, body: Schema<"CreateLinkRequestBody">) =>
    ok(api.POST("/api/v1/groups/{id}/invite-links", { ...at(id), body })),
  revokeLink: (id: string, link: string) =>
    ok(api.DELETE("/api/v1/groups/{id}/invite-links/{link}", { params: { path: { id, link } } })),
  accept: (id: string) => ok(api.POST("/api/v1/invitations/{id}/accept", at(id))),
  decline: (id: string) => ok(api.POST("/api/v1/invitations/{id}/decline", at(id))),
  previewLink: (code: string) => ok(api.GET("/api/v1/invite-links/{code}", { params: { path: { code } } })),
  join: (code: string) => ok(api.POST("/api/v1/invite-links/{code}/join", { params: { path: { code } } })),
};

const ranks: Role[] = ["viewer", "member", "admin", "owner"];

/** Whether a role may do what the other may. */
export const atLeast = (role: Role, needed: Role): boolean => ranks.indexOf(role) >= ranks.indexOf(needed);
