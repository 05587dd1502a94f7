import { Paper, Stack, Title } from "@mantine/core";
import { useDocumentTitle } from "@mantine/hooks";
import type { FormEventHandler, ReactNode } from "react";
import { Problem } from "../../ui/Problem";

interface Props {
  title: string;
  error?: unknown;
  onSubmit?: FormEventHandler<HTMLFormElement>;
  children: ReactNode;
}

/** The card of the pages before the login. */
export function AuthCard({ title, error, onSubmit, children }: Props) {
  useDocumentTitle(`${title} · Firmlight`);
  return (
    <Paper withBorder p="lg" shadow="xs">
      <form onSubmit={onSubmit} noValidate>
        <Stack>
          <Title order={1} size="h3">
            {title}
          </Title>
          <Problem error={error} />
          {children}
        </Stack>
      </form>
    </Paper>
  );
}
