import { Button, Table } from "@mantine/core";
import { useState } from "react";
import { plural } from "../../ui/format";
import { cellText, type NamedTable } from "./shapes";

const portion = 100;

/** Rows of a result, a hundred at a time. */
export function ResultTable({ table }: { table: NamedTable }) {
  const [shown, setShown] = useState(portion);
  const left = table.rows.length - shown;
  return (
    <>
      <Table.ScrollContainer
        minWidth={400}
        maxHeight={480}
        scrollAreaProps={{ viewportProps: { tabIndex: 0 } }}
      >
        <Table striped stickyHeader>
          <Table.Thead>
            <Table.Tr>
              {table.columns.map((c) => (
                <Table.Th key={c}>{c}</Table.Th>
              ))}
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {table.rows.slice(0, shown).map((row, i) => (
              <Table.Tr key={i}>
                {table.columns.map((c) => (
                  <Table.Td key={c} style={{ overflowWrap: "anywhere", maxWidth: 420 }} className="numbers">
                    {cellText(row[c]).slice(0, 500)}
                  </Table.Td>
                ))}
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
      {left > 0 && (
        <Button size="xs" variant="default" onClick={() => setShown(shown + portion)}>
          Show more; {plural(left, "row")} left
        </Button>
      )}
    </>
  );
}
