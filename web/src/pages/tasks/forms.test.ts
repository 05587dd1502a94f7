import { describe, expect, test } from "vitest";
import { type Cell, xlsx } from "../../../tests/xlsx";
import type { Task } from "../../api/queries/taskTypes";
import { withParams } from "../../ui/address";
import { columnNumbers, firstNumeric, readCsv } from "./csv";
import { blank, bodyOf, type Draft, draftOf, errorsOf, formField, inputOf } from "./draft";
import { apiFilter, filterFrom, matcher } from "./filter";
import { type Checked, checkJson, checkJsonList, checkNumber, checkNumbers, checkUrls } from "./inputs";
import { readXlsx } from "./xlsx";

const message = (c: Checked<unknown>) => (c.ok ? "" : c.message);
const got = <T>(c: Checked<T>) => {
  if (!c.ok) throw new Error(c.message);
  return c.value;
};

describe("numbers to factorize", () => {
  test.each([
    ["84", "84", true, 9n],
    ["600 851'475_143", "600851475143", true, 775146n],
    ["99999999999999999999", "99999999999999999999", true, 9999999999n],
    ["100000000000000000000", "100000000000000000000", false, undefined],
  ])("%s", (text, n, splits, tries) => {
    expect(got(checkNumber(text))).toMatchObject({ n, splits, tries });
  });
  test.each(["", "1", "0", "-5", "2.5", "1e9", "12x", `1${"0".repeat(40)}`])("refuses %s", (text) => {
    expect(message(checkNumber(text))).not.toBe("");
  });
});

test("typed numbers", () => {
  expect(got(checkNumbers(" 1, 2.5;-3e2\n+4 .5 5. "))).toEqual([1, 2.5, -300, 4, 0.5, 5]);
  expect(message(checkNumbers("1 two"))).toContain("two");
  expect(message(checkNumbers("1e999"))).not.toBe("");
  expect(message(checkNumbers("NaN"))).not.toBe("");
  expect(message(checkNumbers(" "))).not.toBe("");
});

test("addresses", () => {
  expect(got(checkUrls("https://a.example\n\n http://b.example/x#y \nhttps://a.example/"))).toEqual({
    urls: ["https://a.example/", "http://b.example/x"],
    doubles: 1,
  });
  expect(message(checkUrls("https://a.example\nexample.org"))).toContain("Line 2");
  expect(message(checkUrls("ftp://a.example"))).toContain("http");
  expect(message(checkUrls("https://u:p@a.example"))).toContain("password");
  expect(
    message(checkUrls(Array.from({ length: 1001 }, (_, i) => `https://a.example/${i}`).join("\n"))),
  ).toContain("1,000");
});

test("JSON is kept as typed, mistakes are located", () => {
  expect(got(checkJson(' {"n": 12345678901234567890} '))).toBe('{"n": 12345678901234567890}');
  expect(got(checkJson(""))).toBe("null");
  expect(message(checkJson('{\n  "a": x}'))).toMatch(/not JSON/);
  expect(message(checkJson('{"a": '))).toMatch(/not complete/);
  expect(message(checkJsonList("{}"))).not.toBe("");
  expect(message(checkJsonList("[]"))).not.toBe("");
  expect(got(checkJsonList("[1, 2]"))).toBe("[1, 2]");
});

describe("CSV", () => {
  test("quotes, a byte order mark, separators, empty lines", () => {
    const t = got(readCsv('\uFEFFname;size\r\n"a;b";1\r\n\r\n"say ""hi""";2.5\r\n'));
    expect(t).toEqual({
      columns: ["name", "size"],
      rows: [
        ["a;b", "1"],
        ['say "hi"', "2.5"],
      ],
    });
    expect(firstNumeric(t)).toBe("size");
    expect(got(columnNumbers(t, "size"))).toEqual([1, 2.5]);
    expect(message(columnNumbers(t, "name"))).toContain("Row 2");
    expect(message(columnNumbers(t, "nothing"))).not.toBe("");
  });
  test.each([
    ["", "header"],
    ["a,b\n", "header"],
    ["a,a\n1,2", "named"],
    ["a,b\n1,2\n3", "Row 3"],
  ])("refuses %j", (text, part) => expect(message(readCsv(text))).toContain(part));
  test("one column", () => expect(got(columnNumbers(got(readCsv("x\n1\n2")), "x"))).toEqual([1, 2]));
});

describe("the request", () => {
  const now = Date.parse("2026-01-01T00:00:00Z");
  const body = (d: Partial<Draft>) => {
    const draft = { ...blank, ...d };
    expect(errorsOf(draft, now)).toEqual({});
    return bodyOf(draft, got(inputOf(draft)), "key", now);
  };
  test("of each kind", () => {
    expect(JSON.parse(body({ number: "84", divisors: true, mode: "split", perWorker: true }))).toEqual({
      kind: "factorize",
      priority: "normal",
      timeout_s: 300,
      max_attempts: 3,
      split: { parts: "workers" },
      idempotency_key: "key",
      input: { n: "84", divisors: true },
    });
    expect(JSON.parse(body({ kind: "mean", numbers: "1 2" })).input).toEqual({ numbers: [1, 2] });
    expect(JSON.parse(body({ kind: "crawl", urls: "https://a.example" })).input).toEqual({
      urls: ["https://a.example/"],
      max_pages: 100,
      same_host: true,
    });
    expect(JSON.parse(body({ kind: "sleep", seconds: 1.5 })).input).toEqual({ ms: 1500 });
    expect(body({ kind: "own", json: '{"n": 12345678901234567890}' })).toContain(
      '"input":{"n": 12345678901234567890}}',
    );
    expect(JSON.parse(body({ kind: "own", mode: "inputs", list: "[1,2]", reduce: "sum" }))).toMatchObject({
      inputs: [1, 2],
      reduce: "sum",
    });
  });
  test("later", () => {
    expect(JSON.parse(body({ kind: "echo", start: "in", minutes: 10 })).run_at).toBe(
      "2026-01-01T00:10:00.000Z",
    );
  });
  test.each<[Partial<Draft>, keyof Draft]>([
    [{ kind: "No" }, "kind"],
    [{ number: "1" }, "number"],
    [{ number: "100000000000000000000", mode: "split" }, "number"],
    [{ number: "1000000000000000", divisors: true }, "number"],
    [{ kind: "mean", source: "csv" }, "column"],
    [{ kind: "mean", numbers: "1 ".repeat(600_000) }, "numbers"],
    [{ kind: "crawl", urls: "https://a.example", maxPages: 0 }, "maxPages"],
    [{ kind: "sleep", seconds: "" }, "seconds"],
    [{ kind: "echo", json: "{" }, "json"],
    [{ number: "84", mode: "split", perWorker: false, parts: 10_001 }, "parts"],
    [{ number: "84", start: "at", at: "2020-01-01T00:00" }, "at"],
    [{ number: "84", timeout: 0 }, "timeout"],
    [{ number: "84", attempts: 26 }, "attempts"],
  ])("refuses a wrong draft, %#", (d, field) =>
    expect(Object.keys(errorsOf({ ...blank, ...d }, now))).toEqual([field]),
  );
  test("the server's fields are found again", () => {
    const d = { ...blank, number: "84", perWorker: false };
    const found = ["body.split.parts", "body.timeout_s", "body.kind", "body.input", "title"].map((f) =>
      formField(d, f),
    );
    expect(found).toEqual(["parts", "timeout", "kind", "number", "title"]);
  });
  test("filled in from a task and sent again it is the same", () => {
    const t = {
      kind: "factorize",
      title: "T",
      priority: "high",
      timeout_s: 60,
      max_attempts: 2,
      fan_out: { mode: "split", parts: 4, reduce: "own" },
    };
    const d = draftOf(t as unknown as Task, '{"n":"84"}');
    expect(JSON.parse(body(d))).toMatchObject({
      kind: "factorize",
      title: "T",
      priority: "high",
      split: { parts: 4 },
      input: { n: "84" },
    });
  });
});

describe("the filter", () => {
  test("stands in the address and comes back", () => {
    const params = withParams(new URLSearchParams("other=1&kind=old"), {
      status: "failed",
      mine: true,
      q: "a b",
      kind: undefined,
    });
    expect(params.toString()).toBe("other=1&status=failed&mine=1&q=a+b");
    expect(filterFrom(params)).toMatchObject({ status: "failed", mine: true, q: "a b" });
    expect(filterFrom(new URLSearchParams("status=nonsense&since=9y")).status).toBeUndefined();
  });
  test("goes to the server", () => {
    expect(apiFilter({ mine: true, since: "1h" }, "me", Date.parse("2026-01-01T01:00:00Z"))).toEqual({
      member: "me",
      created_after: "2026-01-01T00:00:00.000Z",
    });
  });
  test("is the server's for what arrives live", () => {
    const t = {
      id: "id-1",
      group_id: "g",
      kind: "echo",
      title: "Große Zahlen 2026",
      status: "queued",
      created_by: "u",
      created_at: "2026-01-01T00:00:00Z",
    } as Task;
    const yes = (f: Parameters<typeof matcher>[0], x = t) => matcher(f, new Set(["g"]))(x);
    expect(yes({})).toBe(true);
    expect(yes({ q: "zahl GROSS" })).toBe(false);
    expect(yes({ q: "zahl große" })).toBe(true);
    expect(yes({ q: "ahlen" })).toBe(false);
    expect(yes({ q: " id-1 " })).toBe(true);
    expect(yes({ status: "running" })).toBe(false);
    expect(yes({ member: "other" })).toBe(false);
    expect(yes({ created_after: "2026-01-02T00:00:00Z" })).toBe(false);
    expect(yes({}, { ...t, parent: "p" })).toBe(false);
    expect(yes({}, { ...t, group_id: "other" })).toBe(false);
  });
});

describe("a spreadsheet", () => {
  const read = (bytes: Uint8Array<ArrayBuffer>) => readXlsx(new Blob([bytes]));
  test("is a table: text, numbers, yes and no, gaps and blank rows", async () => {
    const table = got(
      await read(
        xlsx([
          ["name", "size", "fits"],
          ["a & b", 1.5, true],
          ["", "", ""],
          ["c", -2e-7, ""],
        ]),
      ),
    );
    expect(table.columns).toEqual(["name", "size", "fits"]);
    expect(table.rows).toEqual([
      ["a & b", "1.5", "true"],
      ["c", "-2e-7", ""],
    ]);
    expect(got(columnNumbers(table, "size"))).toEqual([1.5, -2e-7]);
    expect(firstNumeric(table)).toBe("size");
  });
  test("that is large needs no worker", async () => {
    const rows = Array.from({ length: 30_000 }, (_, i): Cell[] => [`row ${i}`, i]);
    expect(got(await read(xlsx([["name", "n"], ...rows]))).rows).toHaveLength(30_000);
  });
  test("needs a header row and one below it", async () =>
    expect(message(await read(xlsx([["name"]])))).toMatch(/header row/));
  test("that is none is refused", async () =>
    expect(message(await read(new Uint8Array([80, 75, 3, 4, 0])))).toMatch(/no Excel file/));
});
