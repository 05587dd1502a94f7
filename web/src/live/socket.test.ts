import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type LiveEvent, LiveSocket } from "./socket";

/** The server's side of a connection. */
class Wire {
  readonly sent: { type: string; topics: string[] }[] = [];
  onopen: (() => void) | null = null;
  onmessage: ((m: { data: string }) => void) | null = null;
  onclose: ((e: { code: number }) => void) | null = null;

  constructor(readonly protocols: string[]) {}
  send(data: string) {
    this.sent.push(JSON.parse(data));
  }
  close() {
    this.onclose?.({ code: 1000 });
  }
  says(...events: LiveEvent[]) {
    this.onmessage?.({ data: events.map((e) => JSON.stringify(e)).join("\n") });
  }
  subscribed(...topics: string[]) {
    this.says(...topics.map((topic) => ({ type: "subscribed", topic })));
  }
}

let wires: Wire[];
let tokens: string[];
let socket: LiveSocket;
const last = () => wires[wires.length - 1] as Wire;

beforeEach(() => {
  vi.useFakeTimers();
  wires = [];
  tokens = [];
  socket = new LiveSocket({
    url: () => "ws://x/api/v1/live",
    token: async (refused = "") => {
      tokens.push(refused);
      return `token${tokens.length}`;
    },
    open: (_url, protocols) => {
      const w = new Wire(protocols);
      wires.push(w);
      return w as unknown as WebSocket;
    },
  });
});
afterEach(() => vi.useRealTimers());

async function opened() {
  await vi.advanceTimersByTimeAsync(20_000);
  last().onopen?.();
}

describe("live socket", () => {
  it("has one connection and one subscription for all who want a topic", async () => {
    const [a, b]: [string[], string[]] = [[], []];
    const endA = socket.subscribe("me", (e) => a.push(e.type));
    const endB = socket.subscribe("me", (e) => b.push(e.type));
    await opened();
    expect(wires).toHaveLength(1);
    expect(last().protocols).toEqual(["firmlight.live.v1", "bearer.token1"]);
    last().subscribed("me");
    last().says({ type: "notification", topic: "me" }, { type: "task", topic: "group:1" });
    endA();
    last().says({ type: "notification", topic: "me" });
    endB();
    expect(a).toEqual(["subscribed", "notification"]);
    expect(b).toEqual(["subscribed", "notification", "notification"]);
    expect(last().sent).toEqual([
      { type: "subscribe", topics: ["me"] },
      { type: "unsubscribe", topics: ["me"] },
    ]);
  });

  it("comes back after a break, and tells every topic to catch up", async () => {
    const seen: string[] = [];
    socket.subscribe("me", (e) => seen.push(`me ${e.type}`));
    socket.subscribe("group:1", (e) => seen.push(`group ${e.type}`));
    await opened();
    last().subscribed("me", "group:1");
    seen.length = 0;
    last().onclose?.({ code: 1006 });
    expect(socket.current()).toBe("waiting");
    await opened();
    expect(last().sent).toEqual([{ type: "subscribe", topics: ["me", "group:1"] }]);
    last().subscribed("me", "group:1");
    expect(seen).toEqual(["me resync", "me subscribed", "group resync", "group subscribed"]);
    expect(socket.current()).toBe("open");
  });

  it("takes another token where the old one was refused", async () => {
    socket.subscribe("me", () => {});
    await opened();
    last().onclose?.({ code: 4401 });
    await opened();
    expect(tokens).toEqual(["", "token1"]);
    last().onclose?.({ code: 1001 });
    await opened();
    expect(tokens).toEqual(["", "token1", ""]);
  });

  it("waits longer and longer, at most 15 s, and not at all when told", async () => {
    socket.subscribe("me", () => {});
    await opened();
    for (let i = 0; i < 8; i++) {
      last().onclose?.({ code: 1006 });
      await vi.advanceTimersByTimeAsync(15_000);
      expect(wires).toHaveLength(i + 2);
    }
    last().onclose?.({ code: 1006 });
    await vi.advanceTimersByTimeAsync(7_000);
    expect(wires).toHaveLength(9);
    socket.retryNow();
    await vi.advanceTimersByTimeAsync(0);
    expect(wires).toHaveLength(10);
  });

  it("stays closed after a logout", async () => {
    socket.subscribe("me", () => {});
    await opened();
    socket.stop();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(wires).toHaveLength(1);
    expect(socket.current()).toBe("off");
  });
});
