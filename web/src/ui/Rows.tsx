import { ScrollArea, Skeleton, Stack, Table } from "@mantine/core";
import type { ReactNode } from "react";

interface Props {
  label: string; // what the table holds, for those who do not see it
  columns: string[]; // "": of buttons
  loading: boolean;
  children: ReactNode; // Table.Tr elements
}

/** A table that scrolls sideways on a phone, with a skeleton while it loads. */
export function Rows({ label, columns, loading, children }: Props) {
  if (loading)
    return (
      <Stack gap="xs" aria-busy>
        {[1, 2, 3, 4].map((n) => (
          <Skeleton key={n} h={36} />
        ))}
      </Stack>
    );
  return (
    <ScrollArea
      type="auto"
      offsetScrollbars="present"
      viewportProps={{ tabIndex: 0, role: "region", "aria-label": label }}
    >
      <Table
        verticalSpacing="xs"
        miw={100 * columns.filter(Boolean).length}
        aria-label={label}
        className="numbers"
      >
        <Table.Thead>
          <Table.Tr>
            {columns.map((c) => (c ? <Table.Th key={c}>{c}</Table.Th> : <Table.Td key="actions" />))}
          </Table.Tr>
        </Table.Thead>
        <Table.Tbody>{children}</Table.Tbody>
      </Table>
    </ScrollArea>
  );
}
