import { beforeEach, describe, expect, it } from "vitest";
import { authorized } from "./client";
import { ApiError, apiError, inWords } from "./error";
import { Session } from "./session";

const user = {
  id: "1",
  username: "ada",
  email: "ada@example.org",
  admin: false,
  created_at: "2026-01-01T00:00:00.000Z",
};
const answer = (token: string) => ({ user, access_token: token, expires_in: 900 });
const json = (status: number, body: unknown, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json", ...headers } });

beforeEach(() => localStorage.clear());

describe("session", () => {
  it("asks for no token where nobody was logged in", async () => {
    const s = new Session(() => Promise.reject(new Error("asked")));
    await s.start();
    expect(s.current()).toEqual({ state: "out" });
    expect(await s.token()).toBe("");
  });

  it("renews once for all who ask, and before the token ends", async () => {
    let asked = 0;
    let now = 0;
    const s = new Session(
      async () => json(200, answer(`token ${++asked}`)),
      () => now,
    );
    localStorage.setItem("firmlight.session", "1");
    await s.start();
    expect(await Promise.all([s.token(), s.token()])).toEqual(["token 1", "token 1"]);
    now = 869_000;
    expect(await s.token()).toBe("token 1");
    now = 871_000;
    expect(await Promise.all([s.token(), s.token()])).toEqual(["token 2", "token 2"]);
    expect(s.current()).toEqual({ state: "in", user });
  });

  it.each([
    [401, "out"],
    [503, "in"],
  ])("after a refusal with %i somebody is %s", async (status, state) => {
    let now = 0;
    const s = new Session(
      async () => json(status, { code: "x", detail: "no" }),
      () => now,
    );
    s.enter(answer("first"));
    now = 900_000;
    await s.token().catch((e: unknown) => expect(e).toBeInstanceOf(ApiError));
    expect(s.current().state).toBe(state);
    expect(localStorage.getItem("firmlight.session")).toBe(state === "in" ? "1" : null);
  });
});

describe("authorized", () => {
  it("sends once more, with its body, when the token had ended", async () => {
    const s = new Session(async () => json(200, answer("new")));
    s.enter(answer("old"));
    const seen: string[] = [];
    const send = authorized(s, async (r) => {
      seen.push(`${r.headers.get("Authorization")} ${await r.text()}`);
      return json(seen.length === 1 ? 401 : 200, {});
    });
    const r = await send(new Request("http://x/api/v1/groups", { method: "POST", body: "{}" }));
    expect(r.status).toBe(200);
    expect(seen).toEqual(["Bearer old {}", "Bearer new {}"]);
  });

  it("gives a wrong login back as it is", async () => {
    const s = new Session(() => Promise.reject(new Error("asked")));
    s.leave();
    const send = authorized(s, async () => json(401, { code: "bad_credentials" }));
    expect((await send(new Request("http://x/api/v1/auth/login", { method: "POST" }))).status).toBe(401);
  });

  it("says in words that the server does not answer", async () => {
    const s = new Session();
    s.leave();
    const send = authorized(s, () => Promise.reject(new TypeError("Failed to fetch")));
    await expect(send(new Request("http://x/"))).rejects.toMatchObject({ status: 0, code: "unreachable" });
  });
});

describe("errors", () => {
  it.each([
    [
      json(422, {
        code: "invalid",
        detail: "Not valid.",
        errors: [{ field: "body.name", message: "too short" }],
      }),
      "Not valid. (body.name: too short)",
    ],
    [json(429, { code: "busy", detail: "Busy." }, { "Retry-After": "7" }), "Busy. Try again in 7 s."],
    [new Response("<html>", { status: 502 }), "The server answered with 502."],
  ])("are told as %#", async (response, words) => {
    expect(inWords(apiError(response, await response.json().catch(() => null)))).toBe(words);
  });
});
