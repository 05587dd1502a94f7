import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test as base, expect, type Page } from "@playwright/test";

const bin = process.env.FIRMLIGHT_BIN ?? "../bin"; // where `make build` puts the programs

/** A program that runs until the end of the test. */
class Program {
  private readonly child: ChildProcess;
  private output = "";

  constructor(name: string, args: string[], env: Record<string, string> = {}) {
    this.child = spawn(join(bin, name), args, { env: { PATH: process.env.PATH ?? "", ...env } });
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.on("data", (data: Buffer) => {
        this.output += data.toString();
      });
  }

  /** Waits until the program has printed something that matches. */
  async prints(what: RegExp): Promise<RegExpExecArray> {
    await expect.poll(() => this.output, { message: `${what}` }).toMatch(what);
    const found = what.exec(this.output);
    if (!found) throw new Error(`no ${what} in ${this.output}`);
    return found;
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const end = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.kill(signal);
    await end;
  }
}

/** A server with a store of its own, and the workers that were started at it. */
export class Site {
  url = "";
  private server: Program;
  private readonly workers: Program[] = [];
  private readonly dir = mkdtempSync(join(tmpdir(), "firmlight-web-"));

  constructor(private readonly options: string[] = []) {
    this.server = this.serve("127.0.0.1:0");
  }

  private serve(listen: string): Program {
    const always = ["--listen", listen, "--data-dir", this.dir, "--log-format", "json"];
    return new Program("server", [...always, ...this.options]);
  }

  async ready(): Promise<void> {
    const [, url] = await this.server.prints(/"url":"(http:[^"]+)"/);
    this.url = url ?? "";
  }

  /** The code of the link in the log that makes the first administrator. */
  async setupCode(): Promise<string> {
    const [, code] = await this.server.prints(/setup\?code=([A-Z0-9]+)/);
    return code ?? "";
  }

  worker(token: string, name: string): Program {
    const w = new Program("worker", ["--name", name, "--slots", "2"], {
      FIRMLIGHT_SERVER: this.url,
      FIRMLIGHT_TOKEN: token,
    });
    this.workers.push(w);
    return w;
  }

  async stopServer(): Promise<void> {
    await this.server.stop("SIGKILL");
  }

  async startServer(): Promise<void> {
    this.server = this.serve(new URL(this.url).host);
    await this.server.prints(/"url":"http/);
  }

  async stop(): Promise<void> {
    for (const w of this.workers) await w.stop("SIGKILL");
    await this.server.stop("SIGKILL");
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Fails the test for errors on the console and requests that failed; `allowed` are those it provokes. */
export function strict(page: Page, allowed: RegExp[] = []): string[] {
  const bad: string[] = [];
  const note = (what: string) => {
    if (!allowed.some((a) => a.test(what))) bad.push(what);
  };
  page.on("console", (m) => {
    if (m.type() === "error" || m.type() === "warning") note(`console: ${m.text()} ${m.location().url}`);
  });
  page.on("pageerror", (e) => note(`error: ${e.message}`));
  page.on("response", (r) => {
    if (r.status() >= 400) note(`${r.status()} ${r.request().method()} ${r.url()}`);
  });
  return bad;
}

/** Makes the browser one that cannot ask where a file should go, and downloads it. */
export const noPicker = (page: Page) =>
  page.addInitScript(() => {
    delete window.showSaveFilePicker;
  });

export const password = "correct horse battery";

export async function register(page: Page, site: Site, username: string): Promise<void> {
  await page.goto(`${site.url}/register`);
  await page.getByLabel("User name").fill(username);
  await page.getByLabel("Email").fill(`${username}@example.org`);
  await page.getByLabel(/^Password/).fill(password);
  await page.getByRole("button", { name: "Make the account" }).click();
  await expect(page.getByRole("heading", { name: "Groups", level: 1 })).toBeVisible();
}

/** A test with a server of its own for the file. */
export const test = base.extend<object, { site: Site }>({
  site: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads what a fixture needs from here
    async ({}, use) => {
      const site = new Site();
      await site.ready();
      await use(site);
      await site.stop();
    },
    { scope: "worker" },
  ],
});

export { expect };
