// A server with a user who has a group, workers that may be killed, and calls of the API.
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { type BrowserContext, expect } from "@playwright/test";
import { password, Site } from "./site";

const bin = process.env.FIRMLIGHT_BIN ?? "../bin";

/** A server with a person, ada, who may administrate it, and a group of hers. */
export class Workshop {
  readonly workers = new Map<string, ChildProcess>();
  private access = "";
  group = "";

  private constructor(private readonly site: Site) {}

  get url(): string {
    return this.site.url;
  }

  static async open(administrator = false, ...options: string[]): Promise<Workshop> {
    const shop = new Workshop(new Site(options));
    await shop.site.ready();
    const ada = { username: "ada", email: "ada@example.org", password };
    const account = administrator
      ? await shop.call("POST", "/auth/setup", { ...ada, code: await shop.site.setupCode() })
      : await shop.call("POST", "/auth/register", ada);
    shop.access = String(account.access_token);
    shop.group = String((await shop.call("POST", "/groups", { name: "Workshop" })).id);
    return shop;
  }

  /** Calls the API as ada, or with another token. */
  async call(
    method: string,
    path: string,
    body?: unknown,
    token = this.access,
  ): Promise<Record<string, unknown>> {
    const answer = await fetch(`${this.url}/api/v1${path}`, {
      method,
      headers: {
        "Content-Type": "application/json",
        ...(token && { Authorization: `Bearer ${token}` }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : {};
  }

  /** Submits a task and returns its id. */
  async submit(spec: Record<string, unknown>): Promise<string> {
    return String((await this.call("POST", `/groups/${this.group}/tasks`, spec)).id);
  }

  /** Starts a worker and waits until it is connected. */
  async worker(name: string, ...more: string[]): Promise<void> {
    const token = await this.call("POST", "/tokens", { name, kind: "worker" });
    const child = spawn(join(bin, "worker"), ["--name", name, "--slots", "4", ...more], {
      env: {
        PATH: process.env.PATH ?? "",
        FIRMLIGHT_SERVER: this.url,
        FIRMLIGHT_TOKEN: String(token.secret),
      },
      stdio: "ignore",
    });
    this.workers.set(name, child);
    const names = async () =>
      ((await this.call("GET", `/groups/${this.group}/workers`)).items as { name: string }[]).map(
        (w) => w.name,
      );
    await expect.poll(names).toContain(name);
  }

  /** Ends a worker as a power cut would. */
  async kill(name: string): Promise<void> {
    const child = this.workers.get(name);
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((r) => child.once("exit", r));
    child.kill("SIGKILL");
    await gone;
  }

  /** Makes an account. */
  async register(username: string): Promise<void> {
    const body = { username, email: `${username}@example.org`, password };
    await this.call("POST", "/auth/register", body, "");
  }

  /** Logs a browser in as ada, or somebody else. */
  async enter(context: BrowserContext, login = "ada"): Promise<void> {
    const options = { data: { login, password }, headers: { Origin: this.url } };
    const answer = await context.request.post(`${this.url}/api/v1/auth/login`, options);
    expect(answer.ok()).toBe(true);
    await context.addInitScript(() => localStorage.setItem("firmlight.session", "1"));
  }

  async close(): Promise<void> {
    for (const name of this.workers.keys()) await this.kill(name);
    await this.site.stop();
  }
}
