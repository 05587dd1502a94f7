import type { ReactNode } from "react";
import { Problem } from "./Problem";
import { Rows } from "./Rows";

interface Props<T> {
  of: { error: unknown; isPending: boolean; refetch: () => Promise<unknown> }; // what reads it
  items: T[] | undefined;
  row: (item: T) => ReactNode; // a Table.Tr element with its key
  empty: ReactNode; // where there is nothing to list
  label: string;
  columns: string[];
}

/** A list as a table, with what went wrong while it was read. */
export function Listing<T>({ of, items, row, empty, label, columns }: Props<T>) {
  return (
    <>
      <Problem error={of.error} retry={() => void of.refetch()} />
      {items?.length === 0 ? (
        empty
      ) : (
        <Rows label={label} loading={of.isPending} columns={columns}>
          {items?.map(row)}
        </Rows>
      )}
    </>
  );
}
