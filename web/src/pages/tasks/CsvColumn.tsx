import { FileInput, Select, Stack, Table, Text } from "@mantine/core";
import { IconFileSpreadsheet } from "@tabler/icons-react";
import { useState } from "react";
import { bytes, plural } from "../../ui/format";
import type { Table as Csv } from "./csv";
import type { Draft, Errors } from "./draft";

interface Props {
  draft: Draft;
  errors: Errors;
  change: (more: Partial<Draft>) => void;
}

const previewRows = 6;
const previewColumns = 12;

/** A CSV or Excel file, the choice of its column, and its first rows. */
export function CsvColumn({ draft, errors, change }: Props) {
  const [file, setFile] = useState<File | null>(null);
  const [table, setTable] = useState<Csv>();
  const [column, setColumn] = useState<string | null>(null);
  const [problem, setProblem] = useState<string>();
  const choose = async (name: string | null, from = table) => {
    const { columnNumbers } = await import("./csv");
    setColumn(name);
    change({ column: from && name ? columnNumbers(from, name) : { ok: false, message: "Choose a column." } });
  };
  const open = async (f: File | null) => {
    setFile(f);
    setTable(undefined);
    setColumn(null);
    setProblem(undefined);
    change({ column: { ok: false, message: "Choose a file." } });
    if (!f) return;
    const { firstNumeric, maxFileBytes, readCsv } = await import("./csv");
    if (f.size > maxFileBytes) return setProblem(`At most ${bytes(maxFileBytes)}.`);
    const read = /\.xlsx$/i.test(f.name)
      ? await (await import("./xlsx")).readXlsx(f)
      : readCsv(await f.text());
    if (!read.ok) return setProblem(read.message);
    setTable(read.value);
    await choose(firstNumeric(read.value) ?? read.value.columns[0] ?? null, read.value);
  };
  const wrong = draft.column.ok || !column ? undefined : draft.column.message;
  return (
    <Stack gap="sm">
      <FileInput
        label="CSV or Excel file"
        description="With a header row, of Excel the first sheet; it is read here, only the column's numbers are sent"
        accept=".csv,.tsv,.txt,.xlsx,text/csv"
        placeholder="Choose a file"
        clearable
        clearButtonProps={{ "aria-label": "Take the file away" }}
        leftSection={<IconFileSpreadsheet size={16} />}
        value={file}
        error={problem ?? (table ? undefined : errors.column)}
        onChange={(f) => void open(f)}
      />
      {table && (
        <>
          <Select
            label="Column"
            data={table.columns}
            value={column}
            allowDeselect={false}
            error={wrong ?? errors.column}
            onChange={(v) => void choose(v)}
          />
          {draft.column.ok && (
            <Text size="sm" c="dimmed" aria-live="polite">
              {plural(draft.column.value.length, "number")} from “{column}”.
            </Text>
          )}
          <Preview table={table} column={column} />
        </>
      )}
    </Stack>
  );
}

function Preview({ table, column }: { table: Csv; column: string | null }) {
  const columns = table.columns.slice(0, previewColumns);
  const left = table.columns.length - columns.length;
  const marked = (name: string) =>
    name === column ? { bg: "var(--mantine-primary-color-light)", fw: 600 } : { fw: undefined };
  return (
    <Table.ScrollContainer minWidth={300} tabIndex={0} scrollAreaProps={{ viewportProps: { tabIndex: 0 } }}>
      <Table withTableBorder captionSide="bottom">
        <Table.Caption>
          The first rows of {plural(table.rows.length, "row")}
          {left > 0 && `; ${plural(left, "more column")} not shown`}
        </Table.Caption>
        <Table.Thead>
          <Table.Tr>
            {columns.map((c) => (
              <Table.Th key={c} {...marked(c)}>
                {c}
              </Table.Th>
            ))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>
          {table.rows.slice(0, previewRows).map((row, i) => (
            <Table.Tr key={`${i}:${row.join()}`}>
              {columns.map((c, j) => (
                <Table.Td key={c} {...marked(c)}>
                  {row[j]?.slice(0, 80)}
                </Table.Td>
              ))}
            </Table.Tr>
          ))}
        </Table.Tbody>
      </Table>
    </Table.ScrollContainer>
  );
}
