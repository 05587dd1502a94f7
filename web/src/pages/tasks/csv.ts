// A CSV file, read in the browser: which columns there are, and their numbers.
import Papa from "papaparse";
import { type Checked, maxNumbers, toNumber } from "./inputs";

export interface Table {
  columns: string[];
  rows: string[][];
}

/** The largest file that is read. */
export const maxFileBytes = 64 << 20;

/** Reads CSV with a header row; the separator is found out. */
export function readCsv(text: string): Checked<Table> {
  const { data, errors } = Papa.parse<string[]>(text.replace(/^\uFEFF/, ""), { skipEmptyLines: "greedy" });
  const wrong = errors.find((e) => e.type === "Quotes");
  if (wrong) return { ok: false, message: `Row ${(wrong.row ?? 0) + 1}: a quotation mark is missing.` };
  return tableOf(data);
}

/** Rows as a table, of which the first is the header. */
export function tableOf(data: string[][]): Checked<Table> {
  const [columns, ...rows] = data;
  if (!columns || rows.length === 0)
    return { ok: false, message: "The file needs a header row and at least one row below it." };
  const names = columns.map((c) => c.trim());
  const twice = names.find((c, i) => names.indexOf(c) !== i);
  if (twice !== undefined) return { ok: false, message: `Two columns are named “${twice}”.` };
  const short = rows.findIndex((r) => r.length !== names.length);
  if (short >= 0) {
    return {
      ok: false,
      message: `Row ${short + 2} has ${rows[short].length} cells, the header has ${names.length}.`,
    };
  }
  return { ok: true, value: { columns: names, rows } };
}

/** The numbers of a column. */
export function columnNumbers(table: Table, column: string): Checked<number[]> {
  const at = table.columns.indexOf(column);
  if (at < 0) return { ok: false, message: "Choose a column." };
  if (table.rows.length > maxNumbers) return { ok: false, message: "At most 1,000,000 rows." };
  const numbers: number[] = [];
  for (const [i, row] of table.rows.entries()) {
    const n = toNumber(row[at]);
    if (n === undefined)
      return { ok: false, message: `Row ${i + 2}: “${row[at].slice(0, 40)}” is not a number.` };
    numbers.push(n);
  }
  return { ok: true, value: numbers };
}

/** The first column of numbers only, which is offered first. */
export function firstNumeric(table: Table): string | undefined {
  return table.columns.find((c) => columnNumbers(table, c).ok);
}
