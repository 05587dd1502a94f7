import { Alert, Button } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { inWords } from "../api/error";

interface Props {
  error: unknown; // null, undefined: nothing is shown
  retry?: () => void;
}

/** What went wrong, in words, and what can be done. */
export function Problem({ error, retry }: Props) {
  if (!error) return null;
  return (
    <Alert
      color="red"
      variant="light"
      icon={<IconAlertTriangle />}
      role="alert"
      title="That did not work"
      styles={{
        message: { color: "var(--mantine-color-text)" },
        title: { color: "var(--mantine-color-error)" },
      }}
    >
      {inWords(error)}
      {retry && (
        <Button mt="xs" size="xs" variant="default" onClick={retry} display="block">
          Try again
        </Button>
      )}
    </Alert>
  );
}
