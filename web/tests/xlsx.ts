// Makes Excel files, for tests.
import { strToU8, zipSync } from "fflate";

export type Cell = string | number | boolean;

const head = '<?xml version="1.0" encoding="UTF-8"?>';
const main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"';
const office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const packed = "http://schemas.openxmlformats.org/package/2006/relationships";

const escaped = (s: string) => s.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

function cell(value: Cell, row: number, column: number): string {
  const at = `r="${String.fromCharCode(65 + column)}${row + 1}"`;
  if (value === "") return "";
  if (typeof value === "string") return `<c ${at} t="inlineStr"><is><t>${escaped(value)}</t></is></c>`;
  return typeof value === "boolean"
    ? `<c ${at} t="b"><v>${Number(value)}</v></c>`
    : `<c ${at}><v>${value}</v></c>`;
}

/** A file with one sheet of at most 26 columns. */
export function xlsx(rows: Cell[][]): Uint8Array<ArrayBuffer> {
  const data = rows.map((r, i) => `<row r="${i + 1}">${r.map((c, j) => cell(c, i, j)).join("")}</row>`);
  return zipSync({
    "_rels/.rels": strToU8(
      `${head}<Relationships xmlns="${packed}"><Relationship Id="rId1" Type="${office}/officeDocument" Target="xl/workbook.xml"/></Relationships>`,
    ),
    "xl/workbook.xml": strToU8(
      `${head}<workbook ${main} xmlns:r="${office}"><sheets><sheet name="One" sheetId="1" r:id="rId1"/></sheets></workbook>`,
    ),
    "xl/_rels/workbook.xml.rels": strToU8(
      `${head}<Relationships xmlns="${packed}"><Relationship Id="rId1" Type="${office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>`,
    ),
    "xl/worksheets/sheet1.xml": strToU8(
      `${head}<worksheet ${main}><sheetData>${data.join("")}</sheetData></worksheet>`,
    ),
  });
}
