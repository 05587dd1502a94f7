/** What the server sends: `type` says what, a member of that name holds it (docs/http-api.md, Live). */
export interface LiveEvent {
  type: string;
  topic: string;
  [member: string]: unknown;
}

export type Handler = (event: LiveEvent) => void;

/** `off`: nobody wants it; `waiting`: the connection broke, the next try comes by itself. */
export type LiveState = "off" | "connecting" | "open" | "waiting";

interface Options {
  url: () => string;
  token: (refused?: string) => Promise<string>; // "": nobody is logged in
  open?: (url: string, protocols: string[]) => WebSocket;
}

const first = 500; // ms until the first new try
const longest = 15_000;
const tokenEnded = 4401;

/**
 * LiveSocket is one connection for all topics. It reconnects by itself; every
 * topic then hears `resync`, which says that events may have been missed.
 */
export class LiveSocket {
  private readonly topics = new Map<string, Set<Handler>>();
  private readonly heard = new Set<string>(); // topics of which events may have been missed at the next start
  private readonly watchers = new Set<() => void>();
  private ws: WebSocket | null = null;
  private state: LiveState = "off";
  private failures = 0;
  private refused = "";
  private used = "";
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly options: Options) {}

  readonly current = (): LiveState => this.state;
  readonly watch = (f: () => void): (() => void) => {
    this.watchers.add(f);
    return () => this.watchers.delete(f);
  };

  /** Calls handler with each event of the topic until the returned function is called. */
  subscribe(topic: string, handler: Handler): () => void {
    const handlers = this.topics.get(topic);
    if (handlers) handlers.add(handler);
    else {
      this.topics.set(topic, new Set([handler]));
      this.tell("subscribe", [topic]);
    }
    if (this.state === "off") void this.connect();
    return () => this.drop(topic, handler);
  }

  /** Tries at once, as when the network has come back. */
  retryNow(): void {
    if (this.state !== "waiting") return;
    clearTimeout(this.timer);
    void this.connect();
  }

  /** Ends the connection, as at a logout. Topics that are still wanted stay for the next start. */
  stop(): void {
    clearTimeout(this.timer);
    const ws = this.ws;
    this.ws = null;
    ws?.close(1000);
    this.heard.clear();
    this.failures = 0;
    this.become("off");
  }

  private drop(topic: string, handler: Handler): void {
    const handlers = this.topics.get(topic);
    if (!handlers?.delete(handler) || handlers.size > 0) return;
    this.topics.delete(topic);
    this.heard.delete(topic);
    this.tell("unsubscribe", [topic]);
  }

  private tell(type: "subscribe" | "unsubscribe", topics: string[]): void {
    if (this.state === "open" && topics.length > 0) this.ws?.send(JSON.stringify({ type, topics }));
  }

  private async connect(): Promise<void> {
    this.become("connecting");
    let token: string;
    try {
      token = await this.options.token(this.refused);
    } catch {
      return this.later();
    }
    if (this.state !== "connecting") return; // stopped meanwhile
    if (token === "") return this.become("off");
    this.used = token;
    const open = this.options.open ?? ((url, protocols) => new WebSocket(url, protocols));
    const ws = open(this.options.url(), ["firmlight.live.v1", `bearer.${token}`]);
    this.ws = ws;
    ws.onopen = () => {
      this.refused = "";
      this.become("open");
      this.tell("subscribe", [...this.topics.keys()]);
    };
    ws.onmessage = (m: MessageEvent<string>) => {
      this.failures = 0;
      for (const line of m.data.split("\n")) if (line) this.take(JSON.parse(line) as LiveEvent);
    };
    ws.onclose = (e) => {
      if (this.ws !== ws) return;
      this.ws = null;
      if (e.code === tokenEnded) this.refused = this.used;
      for (const topic of this.topics.keys()) this.heard.add(topic); // was wanted while nothing came
      this.later();
    };
  }

  private take(event: LiveEvent): void {
    if (event.type === "subscribed") {
      const again = this.heard.has(event.topic);
      this.heard.add(event.topic);
      if (again) this.hand({ type: "resync", topic: event.topic });
    }
    this.hand(event);
  }

  private hand(event: LiveEvent): void {
    for (const handler of [...(this.topics.get(event.topic) ?? [])]) handler(event);
  }

  private later(): void {
    const most = Math.min(longest, first * 2 ** this.failures);
    this.failures++;
    this.become("waiting");
    this.timer = setTimeout(() => void this.connect(), most / 2 + (Math.random() * most) / 2);
  }

  private become(state: LiveState): void {
    this.state = state;
    for (const f of this.watchers) f();
  }
}
