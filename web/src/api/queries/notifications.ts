import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useLive } from "../../live/live";
import { api, ok, type Schema } from "../client";
import { groupKeys } from "./groups";
import { usePages } from "./pages";

export type Notification = Schema<"NotificationView">;
export type Settings = Schema<"NotificationSettings">;
type NotificationPage = Schema<"NotificationListBody">;

export const notificationKeys = {
  all: ["notifications"] as const,
  latest: ["notifications", "latest"] as const,
  list: (unread: boolean) => ["notifications", "list", unread] as const,
  settings: ["notifications", "settings"] as const,
};

/** The newest few, and how many are unread. */
export const useLatest = () =>
  useQuery({
    queryKey: notificationKeys.latest,
    queryFn: () => ok(api.GET("/api/v1/notifications", { params: { query: { limit: 10 } } })),
  });

export const useNotifications = (unread: boolean) =>
  usePages(notificationKeys.list(unread), (cursor) =>
    ok(
      api.GET("/api/v1/notifications", {
        params: { query: { limit: 50, cursor, ...(unread ? { unread: true } : {}) } },
      }),
    ),
  );

export const useNotificationSettings = () =>
  useQuery({
    queryKey: notificationKeys.settings,
    queryFn: () => ok(api.GET("/api/v1/notifications/settings")),
  });

/** Puts a new or changed notification in front, and the number of unread ones with it. */
export function withNews(page: NotificationPage | undefined, n: Notification | undefined, unread: number) {
  if (!page) return page;
  if (!n) return { ...page, unread };
  return { ...page, unread, items: [n, ...page.items.filter((i) => i.id !== n.id)].slice(0, 10) };
}

const ofGroups = new Set(["invited", "joined", "left", "kicked", "role_changed", "group_deleted"]);

/** Hears of what happens to the user; onNews gets each notification as it comes. */
export function useLiveNotifications(onNews: (n: Notification) => void): void {
  const queries = useQueryClient();
  const readGroups = () => {
    void queries.invalidateQueries({ queryKey: groupKeys.all });
    void queries.invalidateQueries({ queryKey: groupKeys.mine });
  };
  useLive(
    "me",
    (event) => {
      // Every page hears this topic: what else was missed is read again, too.
      if (event.type === "resync") void queries.invalidateQueries();
      if (event.type === "subscribed") readGroups();
      if (event.type !== "notification") return;
      const { unread, ...rest } = event.notification as Partial<Notification> & { unread: number };
      const news = "id" in rest ? (rest as Notification) : undefined;
      queries.setQueryData<NotificationPage>(notificationKeys.latest, (p) => withNews(p, news, unread));
      void queries.invalidateQueries({ queryKey: ["notifications", "list"] });
      if (!news) {
        void queries.invalidateQueries({ queryKey: notificationKeys.latest });
        return;
      }
      if (ofGroups.has(news.type)) readGroups();
      onNews(news);
    },
    notificationKeys.all,
  );
}

export const notificationActions = {
  read: (ids: string[]) => ok(api.POST("/api/v1/notifications/read", { body: { ids } })),
  readAll: () => ok(api.POST("/api/v1/notifications/read", { body: { all: true } })),
  remove: (id: string) => ok(api.DELETE("/api/v1/notifications/{id}", { params: { path: { id } } })),
  setSettings: (body: Settings) => ok(api.PUT("/api/v1/notifications/settings", { body })),
};
