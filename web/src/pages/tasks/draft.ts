// What is being typed into the submit form, and the request it becomes.
import type { Task } from "../../api/queries/taskTypes";
import { type Checked, checkJson, checkJsonList, checkNumber, checkNumbers, checkUrls } from "./inputs";

export const builtIn = ["factorize", "mean", "crawl", "sleep", "echo"] as const;
export const splits = (kind: string) => kind === "factorize" || kind === "mean" || kind === "crawl";

export type Mode = "one" | "split" | "inputs" | "broadcast";
export type Start = "now" | "in" | "at";
export const reducers = ["own", "collect", "concat", "sum", "union", "none"] as const;

export interface Draft {
  kind: string;
  title: string;
  // Inputs, each of its kinds.
  number: string;
  divisors: boolean;
  source: "typed" | "csv";
  numbers: string;
  column: Checked<number[]>;
  urls: string;
  maxPages: number | string;
  sameHost: boolean;
  seconds: number | string;
  json: string;
  list: string;
  // How it is run.
  mode: Mode;
  perWorker: boolean;
  parts: number | string;
  reduce: string;
  allowFailures: number | string;
  priority: "high" | "normal" | "low";
  start: Start;
  minutes: number | string;
  at: string; // as a datetime-local field has it
  timeout: number | string; // s
  attempts: number | string;
}

export const blank: Draft = {
  kind: "factorize",
  title: "",
  number: "",
  divisors: false,
  source: "typed",
  numbers: "",
  column: { ok: false, message: "Choose a file." },
  urls: "",
  maxPages: 100,
  sameHost: true,
  seconds: 10,
  json: "",
  list: "",
  mode: "one",
  perWorker: true,
  parts: 8,
  reduce: "own",
  allowFailures: 0,
  priority: "normal",
  start: "now",
  minutes: 10,
  at: "",
  timeout: 300,
  attempts: 3,
};

/** The mode that holds: some kinds cannot be split, some have no lists. */
export function modeOf(d: Draft): Mode {
  if (d.mode === "split" && !splits(d.kind)) return "one";
  return d.mode;
}

export type Field = keyof Draft;
export type Errors = Partial<Record<Field, string>>;

/** The field of the form that holds a kind's input. */
export function inputField(d: Draft): Field {
  if (modeOf(d) === "inputs") return "list";
  switch (d.kind) {
    case "factorize":
      return "number";
    case "mean":
      return d.source === "csv" ? "column" : "numbers";
    case "crawl":
      return "urls";
    case "sleep":
      return "seconds";
    default:
      return "json";
  }
}

/** The input as JSON text, or what is wrong with it. */
export function inputOf(d: Draft): Checked<string> {
  const made = <T>(c: Checked<T>, make: (v: T) => unknown): Checked<string> =>
    c.ok ? { ok: true, value: JSON.stringify(make(c.value)) } : c;
  if (modeOf(d) === "inputs") return checkJsonList(d.list);
  switch (d.kind) {
    case "factorize":
      return factorizeInput(d);
    case "mean":
      return made(d.source === "csv" ? d.column : checkNumbers(d.numbers), (numbers) => ({ numbers }));
    case "crawl":
      return made(checkUrls(d.urls), ({ urls }) => ({
        urls,
        max_pages: Number(d.maxPages),
        same_host: d.sameHost,
      }));
    case "sleep": {
      const ms = Math.round(Number(d.seconds) * 1000);
      return d.seconds !== "" && ms >= 0 && ms <= 86_400_000
        ? { ok: true, value: `{"ms":${ms}}` }
        : { ok: false, message: "Enter 0 to 86,400 seconds." };
    }
    default:
      return checkJson(d.json);
  }
}

function factorizeInput(d: Draft): Checked<string> {
  const n = checkNumber(d.number);
  if (!n.ok) return n;
  if (modeOf(d) === "split" && !n.value.splits)
    return {
      ok: false,
      message: "Only numbers of up to 20 digits can be cut into parts; run this one in one piece.",
    };
  if (d.divisors && !n.value.divisors)
    return { ok: false, message: "All divisors are listed for numbers of up to 15 digits." };
  return { ok: true, value: JSON.stringify({ n: n.value.n, ...(d.divisors && { divisors: true }) }) };
}

const mib = 1 << 20;

/** What is wrong with a draft, by field. */
export function errorsOf(d: Draft, now: number): Errors {
  const e: Errors = {};
  const whole = (f: Field, low: number, high: number) => {
    const n = d[f];
    if (n === "" || !Number.isInteger(Number(n)) || Number(n) < low || Number(n) > high)
      e[f] = `Enter a whole number from ${low} to ${high.toLocaleString()}.`;
  };
  if (!/^[a-z0-9][a-z0-9._-]{0,63}$/.test(d.kind))
    e.kind = "Small letters, digits, points, dashes and underscores, at most 64.";
  const mode = modeOf(d);
  const input = inputOf(d);
  const most = mode === "split" || mode === "inputs" ? 8 * mib : mib;
  if (!input.ok) e[inputField(d)] = input.message;
  else if (new TextEncoder().encode(input.value).length > most)
    e[inputField(d)] =
      most === mib && splits(d.kind)
        ? "More than 1 MiB: cut it into parts, then up to 8 MiB are possible."
        : `More than ${most / mib} MiB.`;
  if (d.kind === "crawl" && mode !== "inputs") whole("maxPages", 1, 1000);
  if (mode === "split" && !d.perWorker) whole("parts", 1, 10_000);
  if (mode !== "one") whole("allowFailures", 0, 10_000);
  if (d.start === "in") whole("minutes", 1, 366 * 24 * 60 - 1);
  if (d.start === "at") {
    const at = Date.parse(d.at);
    if (!(at > now)) e.at = "Choose a time to come.";
    else if (at > now + 366 * 86_400_000) e.at = "At most a year ahead.";
  }
  whole("timeout", 1, 86_400);
  whole("attempts", 1, 25);
  return e;
}

/** The request's body but for its idempotency key. The input goes in as the text it is. */
export function bodyOf(d: Draft, input: string, key: string, now: number): string {
  const mode = modeOf(d);
  const at = d.start === "in" ? now + Number(d.minutes) * 60_000 : d.start === "at" ? Date.parse(d.at) : 0;
  const rest = {
    kind: d.kind,
    ...(d.title.trim() && { title: d.title.trim() }),
    priority: d.priority,
    timeout_s: Number(d.timeout),
    max_attempts: Number(d.attempts),
    ...(at && { run_at: new Date(at).toISOString() }),
    ...(mode === "split" && { split: { parts: d.perWorker ? "workers" : Number(d.parts) } }),
    ...(mode === "broadcast" && { broadcast: true }),
    ...(mode !== "one" && Number(d.allowFailures) > 0 && { allow_failures: Number(d.allowFailures) }),
    ...(mode !== "one" && d.reduce !== "own" && { reduce: d.reduce }),
    idempotency_key: key,
  };
  return `${JSON.stringify(rest).slice(0, -1)},"${mode === "inputs" ? "inputs" : "input"}":${input}}`;
}

/** Which field of the form a field of the request is. */
export function formField(d: Draft, name: string): Field {
  const field = name.replace(/^body\./, "").split(/[.[]/)[0] ?? "";
  const fields: Record<string, Field> = {
    kind: "kind",
    title: "title",
    priority: "priority",
    split: d.perWorker ? "mode" : "parts",
    broadcast: "mode",
    reduce: "reduce",
    allow_failures: "allowFailures",
    run_at: d.start === "at" ? "at" : "minutes",
    timeout_s: "timeout",
    max_attempts: "attempts",
  };
  return fields[field] ?? inputField(d);
}

/** The form filled in as a task was submitted; `input` is its input as JSON text. */
export function draftOf(t: Task, input: string): Draft {
  const f = t.fan_out;
  const mode: Mode = f ? (f.mode === "split" ? "split" : f.mode) : "one";
  const d: Draft = {
    ...blank,
    kind: t.kind,
    title: t.title ?? "",
    mode,
    perWorker: false,
    parts: f?.parts || blank.parts,
    reduce: reducers.find((r) => r === f?.reduce) ?? "own",
    allowFailures: f?.allow_failures ?? 0,
    priority: t.priority,
    timeout: t.timeout_s,
    attempts: t.max_attempts,
    json: input,
  };
  if (mode === "inputs") return { ...d, json: "", list: input };
  return { ...d, ...typed(t.kind, JSON.parse(input)) };
}

/** A kind's own fields, from its input. What does not fit them stays as JSON. */
function typed(kind: string, input: unknown): Partial<Draft> {
  if (typeof input !== "object" || input === null) return {};
  const v = input as Record<string, unknown>;
  const numbers = Array.isArray(v.numbers) ? v.numbers : [];
  const urls = Array.isArray(v.urls) ? v.urls : [];
  switch (kind) {
    case "factorize":
      return { number: String(v.n ?? ""), divisors: v.divisors === true };
    case "mean":
      return { numbers: numbers.join("\n") };
    case "crawl":
      return { urls: urls.join("\n"), maxPages: Number(v.max_pages ?? 100), sameHost: v.same_host !== false };
    case "sleep":
      return { seconds: Number(v.ms ?? 0) / 1000 };
    default:
      return {};
  }
}
