// An Excel file, read in the browser: the first sheet as a table.
import { unzipSync, zipSync } from "fflate";
import { readSheet } from "read-excel-file/universal";
import { type Table, tableOf } from "./csv";
import type { Checked } from "./inputs";

/** Reads the first sheet of an .xlsx file, whose first row is the header; blank rows are passed over. */
export async function readXlsx(file: Blob): Promise<Checked<Table>> {
  let rows: string[][];
  try {
    const parts = unzipSync(new Uint8Array(await file.arrayBuffer()), {
      filter: ({ name }) => /\.(xml|rels)$/.test(name),
    });
    // Packed parts that are large it would unpack in a worker made of a blob, which the
    // content security policy does not let run.
    const plain = zipSync(parts, { level: 0 });
    rows = (await readSheet(new Blob([plain]))).map((row) => row.map(text));
  } catch {
    return { ok: false, message: "This is no Excel file of the type .xlsx, or it is damaged." };
  }
  return tableOf(rows.filter((row) => row.some((cell) => cell !== "")));
}

function text(cell: unknown): string {
  return cell instanceof Date ? cell.toISOString() : String(cell ?? "");
}
