import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { act, renderHook } from "@testing-library/react";
import type { ReactNode } from "react";
import { expect, it, vi } from "vitest";
import { live } from "../../live/live";
import type { Handler } from "../../live/socket";
import { groupKeys } from "./groups";
import { notificationKeys, useLiveNotifications } from "./notifications";
import { useLiveWorkers, workerKeys } from "./workers";

/** Runs a hook on what was read before, and returns which of it is out of date once all its topics are heard. */
function staleOnceHeard(hook: () => void): string[] {
  const topics = new Map<string, Handler>();
  vi.spyOn(live, "subscribe").mockImplementation((topic, handler) => {
    topics.set(topic, handler);
    return () => {};
  });
  const queries = new QueryClient({
    defaultOptions: { queries: { staleTime: Number.POSITIVE_INFINITY, enabled: false } },
  });
  for (const key of [groupKeys.mine, notificationKeys.latest, workerKeys.list, workerKeys.one("w")])
    queries.setQueryData(key, []);
  queries.setQueryData(groupKeys.list, [{ id: "g", name: "Lab", starred: false }]);
  const wrapper = ({ children }: { children: ReactNode }) => (
    <QueryClientProvider client={queries}>{children}</QueryClientProvider>
  );
  renderHook(hook, { wrapper });
  const stale = () =>
    queries
      .getQueryCache()
      .getAll()
      .filter((q) => q.state.isInvalidated)
      .map((q) => q.queryKey.join(" "))
      .sort();
  expect(stale()).toEqual([]);
  act(() => {
    for (const [topic, handler] of topics) handler({ type: "subscribed", topic });
  });
  return stale();
}

it("reads notifications, groups and invitations again once it hears of the user", () => {
  expect(staleOnceHeard(() => useLiveNotifications(() => {}))).toEqual([
    "groups list",
    "invitations",
    "notifications latest",
  ]);
});

it("reads the user's workers again once it hears of their groups", () => {
  expect(staleOnceHeard(useLiveWorkers)).toEqual(["workers list", "workers one w"]);
});
