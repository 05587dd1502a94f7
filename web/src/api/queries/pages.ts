import { type InfiniteData, keepPreviousData, type QueryKey, useInfiniteQuery } from "@tanstack/react-query";

/** One answer of a list. */
export interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

/** What was read of a list. */
export type Pages<T> = InfiniteData<Page<T>, string | undefined>;

/** A list that is read as far as somebody looks. While it is read with another filter, what was there stays. */
export function usePages<P extends Page<unknown>>(
  key: QueryKey,
  read: (cursor: string | undefined) => Promise<P>,
  options: { gcTime?: number } = {},
) {
  return useInfiniteQuery({
    queryKey: key,
    queryFn: ({ pageParam }) => read(pageParam),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next_cursor ?? undefined,
    placeholderData: keepPreviousData,
    ...options,
  });
}

/** Reads a list to its end. */
export async function all<T>(page: (cursor: string | undefined) => Promise<Page<T>>): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | undefined;
  do {
    const p = await page(cursor);
    items.push(...p.items);
    cursor = p.next_cursor ?? undefined;
  } while (cursor !== undefined);
  return items;
}
