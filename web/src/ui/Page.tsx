import { Box, Group, Stack, Title } from "@mantine/core";
import { useDocumentTitle } from "@mantine/hooks";
import type { ReactNode } from "react";

interface Props {
  title: string; // also of the browser's tab
  heading?: ReactNode; // in place of the title
  actions?: ReactNode;
  children: ReactNode;
}

/** A page with its heading and what can be done there. */
export function Page({ title, heading, actions, children }: Props) {
  useDocumentTitle(`${title} · Firmlight`);
  return (
    <Stack gap="lg">
      <Group justify="space-between" align="center" mih={36}>
        <Box style={{ minWidth: 0, overflowWrap: "anywhere" }}>
          {heading ?? (
            <Title order={1} size="h2">
              {title}
            </Title>
          )}
        </Box>
        {actions && <Group gap="xs">{actions}</Group>}
      </Group>
      {children}
    </Stack>
  );
}
