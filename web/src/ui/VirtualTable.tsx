import { Skeleton } from "@mantine/core";
import { useVirtualizer } from "@tanstack/react-virtual";
import { type ReactNode, type RefObject, useEffect, useRef } from "react";
import classes from "./VirtualTable.module.css";

/** Where a row is: what its tr takes. */
export interface Place {
  "aria-rowindex": number;
  style: { transform: string };
}

interface Props<T> {
  label: string;
  head: ReactNode; // its tr
  rows: readonly T[];
  row: (item: T, top: number, index: number) => ReactNode; // a tr with a key, at placed(top, index)
  rowHeight: number; // pixels
  around: number; // what the page has above and below it, in pixels
  loading: boolean; // there is nothing to show yet
  stale: boolean; // the rows are those of the filter before
  more: boolean;
  loadMore: () => void;
  scroller?: RefObject<HTMLDivElement | null>; // the box
  onScroll?: (top: number) => void;
}

const loadAhead = 60; // rows before the end at which more are read

/** What puts a tr in its place. */
export const placed = (top: number, index: number): Place => ({
  "aria-rowindex": index + 2, // the head is the first
  style: { transform: `translateY(${top}px)` },
});

/** A table of which only the rows in sight exist. */
export function VirtualTable<T>(props: Props<T>) {
  const { label, head, rows, row, rowHeight, around, loading, stale, more, loadMore, onScroll } = props;
  const own = useRef<HTMLDivElement>(null);
  const scroller = props.scroller ?? own;
  const list = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeight,
    overscan: 8, // no getItemKey: with a new one each row is placed anew, 100,000 for each frame
  });
  const items = list.getVirtualItems();
  const end = items.at(-1)?.index ?? 0;
  useEffect(() => {
    if (more && end > rows.length - loadAhead) loadMore(); // a page may be empty, of a search
  });
  useEffect(() => {
    if (rowHeight > 0) list.measure(); // those of another height are placed anew
  }, [list, rowHeight]);
  const height = (rows.length > 0 ? rows.length : 12) * rowHeight + 44; // with the head
  return (
    <div className={classes.frame} data-stale={stale || undefined}>
      <div
        ref={scroller}
        className={classes.scroller}
        style={{ height: `min(${height}px, max(320px, 100dvh - ${around}px))` }}
        onScroll={onScroll && ((e) => onScroll(e.currentTarget.scrollTop))}
      >
        <table className={classes.table} aria-label={label} aria-rowcount={more ? -1 : rows.length + 1}>
          <thead>{head}</thead>
          <tbody className={classes.body} style={{ height: list.getTotalSize() }}>
            {items.map(({ index, start }) => {
              const item = rows[index];
              return item && row(item, start, index);
            })}
          </tbody>
        </table>
        {loading && <Waiting rowHeight={rowHeight} />}
      </div>
    </div>
  );
}

function Waiting({ rowHeight }: { rowHeight: number }) {
  return Array.from({ length: 12 }, (_, i) => (
    <div key={i} className={classes.skeleton} style={{ height: rowHeight }}>
      <Skeleton height={16} width={`${60 + ((i * 13) % 35)}%`} />
    </div>
  ));
}
