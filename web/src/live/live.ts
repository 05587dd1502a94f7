import { type QueryKey, useQueryClient } from "@tanstack/react-query";
import { useEffect, useEffectEvent, useSyncExternalStore } from "react";
import { session } from "../api/session";
import { type LiveEvent, LiveSocket, type LiveState } from "./socket";

/** The one connection of this page. */
export const live = new LiveSocket({
  url: () => `${location.origin.replace(/^http/, "ws")}/api/v1/live`,
  token: (refused) => session.token(refused),
});

window.addEventListener("online", () => live.retryNow());

/** Whether events arrive. */
export function useLiveState(): LiveState {
  return useSyncExternalStore(live.watch, live.current);
}

/**
 * Calls onEvent with each event of the topic while the component is there; null: nothing.
 * The queries below `key` are read again once the topic is heard, as something may have
 * happened since they were read, and whenever events were missed (`resync`).
 */
export function useLive(topic: string | null, onEvent: (event: LiveEvent) => void, key?: QueryKey): void {
  const queries = useQueryClient();
  const take = useEffectEvent((event: LiveEvent) => {
    if (key && (event.type === "subscribed" || event.type === "resync"))
      void queries.invalidateQueries({ queryKey: key });
    onEvent(event);
  });
  useEffect(() => (topic === null ? undefined : live.subscribe(topic, (e) => take(e))), [topic]);
}
