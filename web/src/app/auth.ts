import { useSyncExternalStore } from "react";
import { session, type User, type Who } from "../api/session";

/** Who uses the page, also before that is known. */
export function useWho(): Who {
  return useSyncExternalStore(session.watch, session.current);
}

/** The user, on pages that only people who logged in see. */
export function useUser(): User {
  const who = useWho();
  if (who.state !== "in") throw new Error("useUser outside of the pages for users");
  return who.user;
}
