// What a result looks like, and so how it is shown.

export type Shape =
  | { kind: "factors"; n: string; factors: [string, string][]; prime: boolean; divisors?: string[] }
  | { kind: "figures"; figures: [string, number][] }
  | { kind: "chart"; numbers: number[] }
  | { kind: "tables"; tables: NamedTable[] }
  | { kind: "text"; text: string }
  | { kind: "json" };

export interface NamedTable {
  name: string;
  columns: string[];
  rows: Record<string, unknown>[];
}

const isRecord = (v: unknown): v is Record<string, unknown> =>
  typeof v === "object" && v !== null && !Array.isArray(v);

/** Finds the shape of a result. */
export function shapeOf(v: unknown): Shape {
  if (typeof v === "string") return { kind: "text", text: v };
  if (typeof v === "number") return { kind: "figures", figures: [["Result", v]] };
  if (Array.isArray(v)) {
    if (v.length > 1 && v.every((n) => typeof n === "number")) return { kind: "chart", numbers: v };
    const table = tableOf("", v);
    return table ? { kind: "tables", tables: [table] } : { kind: "json" };
  }
  if (!isRecord(v)) return { kind: "json" };
  const factors = factorsOf(v);
  if (factors) return factors;
  const entries = Object.entries(v);
  if (entries.length > 0 && entries.length <= 12 && entries.every(([, n]) => typeof n === "number")) {
    return { kind: "figures", figures: entries as [string, number][] };
  }
  const tables = entries.map(([name, list]) =>
    Array.isArray(list) ? (list.length === 0 ? empty(name) : tableOf(name, list)) : undefined,
  );
  if (tables.length > 0 && tables.every((t) => t !== undefined) && tables.some((t) => t.rows.length > 0)) {
    return { kind: "tables", tables };
  }
  return { kind: "json" };
}

function factorsOf(v: Record<string, unknown>): Shape | undefined {
  const { n, factors, prime, divisors } = v;
  if (typeof n !== "string" || !Array.isArray(factors) || typeof prime !== "boolean") return undefined;
  const pairs = factors.filter((f): f is [string, number | string] => Array.isArray(f) && f.length === 2);
  if (pairs.length !== factors.length) return undefined;
  return {
    kind: "factors",
    n,
    prime,
    factors: pairs.map(([p, e]) => [p, String(e)]),
    ...(Array.isArray(divisors) && { divisors: divisors.map(String) }),
  };
}

const empty = (name: string): NamedTable => ({ name, columns: [], rows: [] });

const maxColumns = 12;

/** A list of objects that have mostly the same fields; null, as of a part that failed, is an empty row. */
function tableOf(name: string, list: unknown[]): NamedTable | undefined {
  const rows = list.map((row) => row ?? {}).filter(isRecord);
  if (rows.length < list.length) return undefined;
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  if (columns.length === 0 || columns.length > maxColumns) return undefined;
  return { name, columns, rows };
}

/** A cell as text; lists by their length. */
export function cellText(v: unknown): string {
  if (v === null || v === undefined) return "";
  if (typeof v === "string") return v;
  if (typeof v === "number") return v.toLocaleString(undefined, { maximumFractionDigits: 20 });
  if (Array.isArray(v)) return v.length === 1 ? "1 entry" : `${v.length.toLocaleString()} entries`;
  return JSON.stringify(v);
}

/** Whether JSON text has whole numbers that lose digits once they are parsed. */
export function losesDigits(json: string): boolean {
  const outside = json.replace(/"(?:[^"\\]|\\.)*"/g, '""');
  return (outside.match(/(?<![\d.eE+])-?\d{16,}(?![\d.eE])/g) ?? []).some(
    (n) => !Number.isSafeInteger(Number(n)),
  );
}

/** A table as CSV text; cells that a spreadsheet would run as formulas begin with an apostrophe. */
export function toCsv(t: NamedTable): string {
  const cell = (v: unknown) => {
    const raw = v === null || v === undefined ? "" : typeof v === "object" ? JSON.stringify(v) : String(v);
    const text = typeof v === "string" && /^[=+\-@\t\r]/.test(raw) ? `'${raw}` : raw;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [t.columns.map(cell), ...t.rows.map((r) => t.columns.map((c) => cell(r[c])))]
    .map((r) => `${r.join(",")}\r\n`)
    .join("");
}
