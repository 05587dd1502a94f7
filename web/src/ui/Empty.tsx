import { Box, Stack, Text, ThemeIcon, Title } from "@mantine/core";
import type { Icon } from "@tabler/icons-react";
import type { ReactNode } from "react";

interface Props {
  icon: Icon;
  title: string;
  children?: ReactNode; // what to do next
  action?: ReactNode;
}

/** What stands where there is nothing to show: why, and what to do next. */
export function Empty({ icon: Icon, title, children, action }: Props) {
  return (
    <Stack align="center" ta="center" py="xl" px="md" gap="sm">
      <ThemeIcon size={56} radius="xl" variant="light" color="gray" aria-hidden>
        <Icon size={30} stroke={1.5} />
      </ThemeIcon>
      <Title order={2} size="h4">
        {title}
      </Title>
      {children && (
        <Text component="div" c="dimmed" maw={460}>
          {children}
        </Text>
      )}
      {action && <Box mt="xs">{action}</Box>}
    </Stack>
  );
}
