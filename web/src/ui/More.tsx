import { Button } from "@mantine/core";

interface Read {
  data?: { pages: unknown[] };
  hasNextPage: boolean;
}

interface List extends Read {
  isFetchingNextPage: boolean;
  fetchNextPage: (options: { cancelRefetch: boolean }) => Promise<Read>;
}

/**
 * Reads one more page. The list may just be read again, since something changed:
 * that is waited for, not cut off, or what changed would stay unseen.
 */
async function more(list: List): Promise<void> {
  const had = list.data?.pages.length ?? 0;
  for (let tries = 0; tries < 3; tries++) {
    const now = await list.fetchNextPage({ cancelRefetch: false });
    if (!now.hasNextPage || (now.data?.pages.length ?? 0) > had) return;
  }
}

/** Reads the next page of a list, where there is one. */
export function More({ list, label }: { list: List; label: string }) {
  if (!list.hasNextPage) return null;
  return (
    <Button variant="default" loading={list.isFetchingNextPage} onClick={() => void more(list)}>
      {label}
    </Button>
  );
}
