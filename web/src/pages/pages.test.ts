import { describe, expect, it } from "vitest";
import { inOrder } from "../api/queries/groups";
import { withNews } from "../api/queries/notifications";
import { inSentence } from "../ui/news";
import { device } from "./account/device";
import { nextPage } from "./auth/next";
import { rolesToGive } from "./group/Members";
import { withType } from "./notifications/Notifications";

const at = "2026-01-01T00:00:00.000Z";

describe("after the login", () => {
  it.each([
    ["/groups/1?q=x", "/groups/1?q=x"],
    ["//evil.example", "/"],
    ["/\\evil.example", "/"],
    ["https://evil.example", "/"],
    ["", "/"],
  ])("%s leads to %s", (next, to) => expect(nextPage(new URLSearchParams({ next }))).toBe(to));
});

describe("groups", () => {
  const g = (id: string, name: string, starred: boolean) => ({
    id,
    name,
    starred,
    description: "",
    members: 1,
    role: "owner" as const,
    result_retention_s: null,
    created_at: at,
  });
  it("stand with stars first, then by name", () => {
    const list = [g("1", "b", false), g("2", "a", false), g("3", "z", true)];
    expect(inOrder(list).map((x) => x.name)).toEqual(["z", "a", "b"]);
  });
  it.each([
    ["owner", "admin", 4],
    ["owner", "owner", 0],
    ["admin", "member", 2],
    ["admin", "admin", 0],
    ["member", "viewer", 0],
  ] as const)("an %s may give a(n) %s %i roles", (mine, theirs, n) =>
    expect(rolesToGive(mine, theirs)).toHaveLength(n),
  );
});

describe("notifications", () => {
  const n = { id: "1", type: "task_failed" as const, count: 1, read: false, created_at: at, updated_at: at };
  it("come first and once", () => {
    const page = { items: [{ ...n, id: "2" }, n], next_cursor: null, unread: 2 };
    expect(withNews(page, { ...n, count: 2 }, 3)).toEqual({
      items: [
        { ...n, count: 2 },
        { ...n, id: "2" },
      ],
      next_cursor: null,
      unread: 3,
    });
    expect(withNews(page, undefined, 0)).toEqual({ ...page, unread: 0 });
    expect(withNews(undefined, n, 1)).toBeUndefined();
  });
  it("say what happened, and where", () => {
    const group = { id: "g", name: "Lab" };
    expect(inSentence({ ...n, group, task: { id: "t", kind: "mean", title: "" } })).toEqual({
      text: "mean failed",
      to: "/tasks/t",
    });
    expect(inSentence({ ...n, group, count: 3 })).toEqual({
      text: "3 tasks of Lab failed",
      to: "/groups/g/tasks",
    });
    expect(inSentence({ ...n, type: "device_silent", group, device: { id: "a/b.c", name: "" } })).toEqual({
      text: "a/b.c is silent",
      to: "/groups/g/device?id=a%2Fb.c",
    });
    expect(inSentence({ ...n, type: "kicked", group, actor: { id: "a", username: "ada" } }).to).toBe("/");
  });
  it("are switched off and on for every group", () => {
    const own = { group: "g", types: ["left" as const] };
    const off = withType({ off: [own] }, "joined", false);
    expect(off).toEqual({ off: [{ group: null, types: ["joined"] }, own] });
    expect(withType(off, "joined", true)).toEqual({ off: [own] });
  });
});

describe("devices of sessions", () => {
  it.each([
    ["Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"],
    [
      "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0",
      "Edge on Windows",
    ],
    ["curl/8.5.0", "curl/8.5.0"],
    ["", "unknown"],
  ])("%s is %s", (agent, words) => expect(device(agent)).toBe(words));
});
