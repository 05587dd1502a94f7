import { apiError, unreachable } from "./error";
import type { components } from "./schema";

export type User = components["schemas"]["User"];
type LoggedIn = components["schemas"]["LoggedIn"];

/** Who uses this page: `unknown` until the first refresh has been answered. */
export type Who = { state: "unknown" } | { state: "out" } | { state: "in"; user: User };

// Only says that a refresh is worth trying; the refresh token is in a cookie that scripts cannot read.
const hint = "firmlight.session";
const early = 30_000; // ms before its end at which a token is renewed

/** Session keeps the access token in memory and renews it with the cookie. */
export class Session {
  private who: Who = { state: "unknown" };
  private access = "";
  private until = 0; // ms since the epoch
  private renewing: Promise<string> | null = null;
  private readonly watchers = new Set<() => void>();
  private readonly tabs: BroadcastChannel | null;

  constructor(
    private readonly send: (request: Request) => Promise<Response> = (r) => fetch(r),
    private readonly now: () => number = Date.now,
  ) {
    this.tabs = typeof BroadcastChannel === "undefined" ? null : new BroadcastChannel("firmlight.session");
    this.tabs?.addEventListener("message", (e) => {
      if (e.data === "out") this.leave();
    });
  }

  /** For useSyncExternalStore. */
  readonly current = (): Who => this.who;
  readonly watch = (f: () => void): (() => void) => {
    this.watchers.add(f);
    return () => this.watchers.delete(f);
  };

  /** Finds out who is logged in, once, when the page is opened. */
  async start(): Promise<void> {
    if (localStorage.getItem(hint) === null) return this.become({ state: "out" });
    try {
      await this.token();
    } catch {
      if (this.who.state === "unknown") this.become({ state: "out" });
    }
  }

  /** Takes the answer of a login, registration or set-up. */
  enter(answer: LoggedIn): void {
    this.access = answer.access_token;
    this.until = this.now() + answer.expires_in * 1000;
    localStorage.setItem(hint, "1");
    const known = this.who.state === "in" && JSON.stringify(this.who.user) === JSON.stringify(answer.user);
    if (!known) this.become({ state: "in", user: answer.user });
  }

  /** Forgets who was logged in, in this tab; `everywhere` tells the other tabs too. */
  leave(everywhere = false): void {
    this.access = "";
    this.until = 0;
    localStorage.removeItem(hint);
    if (everywhere) this.tabs?.postMessage("out");
    if (this.who.state !== "out") this.become({ state: "out" });
  }

  /** Shows a changed profile. */
  update(user: User): void {
    if (this.who.state === "in") this.become({ state: "in", user });
  }

  /** Returns an access token that is good for a while, "" where nobody is logged in. `refused` was not. */
  async token(refused = ""): Promise<string> {
    if (this.who.state === "out") return "";
    if (this.access && this.access !== refused && this.now() < this.until - early) return this.access;
    this.renewing ??= this.renew().finally(() => {
      this.renewing = null;
    });
    return this.renewing;
  }

  private async renew(): Promise<string> {
    const request = new Request(new URL("/api/v1/auth/refresh", location.origin), {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: "{}",
    });
    const response = await this.send(request).catch(() => {
      throw unreachable();
    });
    if (response.ok) {
      this.enter((await response.json()) as LoggedIn);
      return this.access;
    }
    if (response.status === 401 || response.status === 403) {
      this.leave();
      return "";
    }
    throw apiError(response, await response.json().catch(() => null));
  }

  private become(who: Who): void {
    this.who = who;
    for (const f of this.watchers) f();
  }
}

/** The session of this page. */
export const session = new Session();
