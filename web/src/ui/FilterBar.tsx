import { Group } from "@mantine/core";
import type { ReactNode } from "react";

/** The filters of a list, in a row; on a phone they take the width there is. */
export function FilterBar({ children }: { children: ReactNode }) {
  return (
    <Group gap="sm" align="flex-end" className="filters">
      {children}
    </Group>
  );
}
